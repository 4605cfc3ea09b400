/** What a stranger's folder may have wrong: each spoils a copy of a sound one, and says which error it must give. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { serializeStoredZip } from "../../packages/core/src/formats/stored_zip_writer.ts";

const torchFiles = fileURLToPath(new URL("../../packages/core/test/torch_files/", import.meta.url));

/** A fault in a copy of a sound folder, and the error about it. */
type Fault = readonly [spoil: (copy: string) => void, says: string | RegExp];
const MIB = 2 ** 20;

const put = (file: string, bytes: string | Uint8Array) => (copy: string) => writeFileSync(join(copy, file), bytes);
/** Makes a file of n bytes that takes no room on disk. */
const sparse = (file: string, bytes: number) => (copy: string) => {
  writeFileSync(join(copy, file), "");
  truncateSync(join(copy, file), bytes);
};
/** The file, elsewhere, with a link to it in its place. */
const linkedOut = (file: string) => (copy: string) => {
  const away = `${copy}-${file}`;
  renameSync(join(copy, file), away);
  symlinkSync(away, join(copy, file));
};
/** A link in the place of the file. */
const replaced = (file: string, target: string) => (copy: string) => {
  rmSync(join(copy, file));
  symlinkSync(target, join(copy, file));
};
const edited = (file: string, from: string | RegExp, to: string) => (copy: string) => {
  const text = readFileSync(join(copy, file), "latin1");
  expect(text).toMatch(from);
  writeFileSync(join(copy, file), text.replace(from, to), "latin1");
};
/** A safetensors file of this header, the length that it claims, and n zeros. */
function safetensors(header: string, dataBytes = 0, claimed = BigInt(Buffer.byteLength(header))): Uint8Array {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed);
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(dataBytes)]);
}
const tensor = (shape: string, offsets: string) => `{"dtype":"F32","shape":${shape},"data_offsets":${offsets}}`;
const one = (shape: string, offsets: string, dataBytes = 16) =>
  safetensors(`{"t":${tensor(shape, offsets)}}`, dataBytes);

/** A file of torch of this pickle. */
const torchZip = (pickle: Uint8Array | string) =>
  serializeStoredZip(
    new Map([
      ["a/data.pkl", Buffer.from(pickle as string, "latin1")],
      ["a/version", Buffer.from("3\n")],
    ]),
    64,
  );
const runs = "\x80\x02cos\nsystem\n(X\x04\x00\x00\x00exit\x8cR.".replace("\x8c", "t");
/** The first entry says that it unfolds, to 4 GiB. */
function bomb(): Uint8Array {
  const bytes = Buffer.from(torchZip("\x80\x02}."));
  const entry = bytes.indexOf("PK\x01\x02");
  bytes.writeUInt16LE(8, entry + 10);
  bytes.writeUInt32LE(2 ** 32 - 2, entry + 24);
  return bytes;
}
/** Two entries on the same bytes. */
function overlapping(): Uint8Array {
  const bytes = Buffer.from(torchZip("\x80\x02}."));
  const second = bytes.indexOf("PK\x01\x02", bytes.indexOf("PK\x01\x02") + 1);
  bytes.writeUInt32LE(0, second + 42);
  return bytes;
}

/** The same faults in a file that PEFT calls `adapter_model.bin` and one that others call what they like. */
const torchFaults: Record<string, readonly [bytes: () => Uint8Array | string, says: string | RegExp]> = {
  "a pickle that calls os.system": [() => torchZip(runs), '"os.system", which may run code'],
  "a bare pickle": [() => Buffer.from(runs, "latin1"), "it is a bare pickle"],
  "torch's format before 1.6": [() => readFileSync(join(torchFiles, "legacy.pth")), "the format of torch before 1.6"],
  "a zip that unfolds to 4 GiB": [bomb, /is compressed|no sound size/],
  "a zip of overlapping entries": [overlapping, /overlaps what follows it|no header|contradicts/],
  "a file cut off": [() => readFileSync(join(torchFiles, "views.pth")).subarray(0, 900), "no zip directory at its end"],
};
const ADAPTER = "adapter_model.safetensors";
const CONFIG = "adapter_config.json";
const toTorch = (bytes: () => Uint8Array | string) => (copy: string) => {
  rmSync(join(copy, ADAPTER));
  writeFileSync(join(copy, "adapter_model.bin"), bytes());
};

/** By the folder that they spoil, each named by what it does. */
export const faults: Record<"adapter" | "file" | "followed" | "model" | "tokenizer", Record<string, Fault>> = {
  followed: {
    "a link to a device for its weights": [
      replaced(ADAPTER, "/dev/zero"),
      "which is a device: needed is a regular file",
    ],
    "a link to a folder for its config": [replaced(CONFIG, "/etc"), "which is a folder: needed is a regular file"],
    "a link to a password file for its weights": [replaced(ADAPTER, "/etc/passwd"), "it is text that begins with"],
    "a link to a file of the system without a size": [replaced(CONFIG, "/proc/self/environ"), "it is empty"],
  },
  adapter: {
    "weights linked out of the folder": [linkedOut(ADAPTER), "outside of the folder"],
    "a config linked out of the folder": [linkedOut(CONFIG), "outside of the folder"],
    "a pipe for its weights": [
      (copy) => {
        rmSync(join(copy, ADAPTER));
        execFileSync("mkfifo", [join(copy, ADAPTER)]);
      },
      "it is a pipe: needed is a regular file",
    ],
    "a folder for its config": [
      (copy) => {
        rmSync(join(copy, CONFIG));
        mkdirSync(join(copy, CONFIG));
      },
      "it is a folder: needed is a regular file",
    ],
    "a config of 100 MB": [sparse(CONFIG, 1e8), /it has 100000000 bytes, at most \d+ are read/],
    "a config of brackets as long as is read": [
      put(CONFIG, `{"a":${"[".repeat(64 * MIB - 5)}`),
      "nested more than 1000",
    ],
    "a config of empty lists as long as is read": [
      put(CONFIG, `{"a":[${"[],".repeat(21 * MIB)}[]]}`),
      "It is little but brackets",
    ],
    "a header of 60 MB of empty objects": [
      put(ADAPTER, safetensors(`{"a":[${"{},".repeat(2e7)}{}]}`)),
      "It is little but brackets",
    ],
    "weights in shards beside its own": [
      put("adapter_model-00002-of-00002.safetensors", "x"),
      "is a part that is not read",
    ],
    "a further part": [put("visual.safetensors", "x"), '"visual.safetensors" is a part that is not read'],
    "a part whose name is an attack": [
      put("\u001b[2Jx.safetensors", "x"),
      '"\\u001b[2Jx.safetensors" is a part that is not read',
    ],
    "a device for its weights": [replaced(ADAPTER, "/dev/zero"), "outside of the folder"],
    "a link to itself for its weights": [replaced(ADAPTER, ADAPTER), "it is a link that leads back to itself"],
    "a link to nothing for its config": [replaced(CONFIG, "nothing"), "which is not there"],
    "a link through another one out of the folder": [
      (copy) => {
        replaced(CONFIG, "hop")(copy);
        symlinkSync("../hop", join(copy, "hop"));
      },
      "outside of the folder",
    ],
    "a Git LFS pointer with an endless size": [
      put(ADAPTER, `version https://git-lfs.github.com/spec/v1\nsize ${"9".repeat(400)}\n`),
      "it is a Git LFS pointer",
    ],
    "a web page with an endless title": [put(CONFIG, `<html><title>${"x".repeat(MIB)}`), "it is a web page"],
    "a config with NaN": [edited(CONFIG, /"adapter_len": \d/, '"adapter_len": NaN'), "not valid JSON"],
    "a config with Infinity": [edited(CONFIG, /"adapter_len": \d/, '"adapter_len": 1e999'), "adapter_len is"],
    "a config of a billion prompts": [
      edited(CONFIG, /"adapter_len": \d/, '"adapter_len": 1e9'),
      /adapter_len|needed is F32|tensors are/,
    ],
    "a config with a key twice": [edited(CONFIG, "{", '{"adapter_len": 9,'), "Duplicate key"],
    "a config that is not UTF-8": [put(CONFIG, Uint8Array.of(0x7b, 0xff, 0x7d)), "Cannot read"],
    "a base name that is an object": [edited(CONFIG, '"tiny"', '{"toString": 1}'), "base_model_name_or_path"],
    "a header of 2⁶³ bytes": [put(ADAPTER, safetensors("{}", 0, 2n ** 63n)), "at most 100000000 are allowed"],
    "a header of 99 MB in a file of 10 bytes": [
      put(ADAPTER, safetensors("{}", 0, 99_000_000n)),
      "its header claims 99000000",
    ],
    "a header of 90 MB of brackets": [put(ADAPTER, safetensors(`{"a":${"[".repeat(9e7)}`)), "nested more than 1000"],
    "a header of 90 MB of nothing": [
      (copy) => {
        writeFileSync(join(copy, ADAPTER), safetensors("{", 0, 90_000_000n));
        truncateSync(join(copy, ADAPTER), 90_000_008);
      },
      "is not valid JSON",
    ],
    "tensors that overlap": [
      put(ADAPTER, safetensors(`{"a":${tensor("[4]", "[0,16]")},"b":${tensor("[4]", "[8,24]")}}`, 24)),
      "overlaps the tensor before it",
    ],
    "a hole between tensors": [
      put(ADAPTER, safetensors(`{"a":${tensor("[1]", "[0,4]")},"b":${tensor("[1]", "[8,12]")}}`, 12)),
      "leaves a hole before it",
    ],
    "a tensor twice": [
      put(ADAPTER, safetensors(`{"a":${tensor("[4]", "[0,16]")},"a":${tensor("[4]", "[0,16]")}}`, 16)),
      'Duplicate key "a"',
    ],
    "negative offsets": [put(ADAPTER, one("[4]", "[-16,0]")), "not two byte positions"],
    "offsets beyond what numbers hold": [put(ADAPTER, one("[4]", "[0,1e999]")), "not two byte positions"],
    "NaN for an offset": [put(ADAPTER, one("[4]", "[0,NaN]")), "is not valid JSON"],
    "a size of Infinity": [put(ADAPTER, one("[1e999]", "[0,16]")), "not a list of sizes"],
    "sizes whose product wraps to the right one": [
      put(ADAPTER, one("[4294967296,4294967296,4]", "[0,16]")),
      "more elements than can be",
    ],
    "a terabyte on paper": [put(ADAPTER, one("[274877906944]", "[0,1099511627776]")), "its tensors end at byte"],
    "a file cut off": [
      (copy) => truncateSync(join(copy, ADAPTER), 700),
      /its tensors end at byte \d+ \(.*\), the file at byte 700 \(700 B\): the file was cut off/,
    ],
    "prompts that are NaN": [
      (copy) => {
        const bytes = readFileSync(join(copy, ADAPTER));
        bytes.writeUInt32LE(0x7fc00000, bytes.length - 4);
        writeFileSync(join(copy, ADAPTER), bytes);
      },
      "numbers that are not finite",
    ],
    "prompts in a layer that no base of this size has": [
      edited(ADAPTER, "layers.5.", "layers.9."),
      /layers\.9\.|layer 9/,
    ],
    ...Object.fromEntries(Object.entries(torchFaults).map(([what, [bytes, says]]) => [what, [toTorch(bytes), says]])),
  },
  file: {
    ...Object.fromEntries(
      Object.entries(torchFaults).map(([what, [bytes, says]]) => [
        what,
        [(copy: string) => put("a.pth", bytes())(copy), says],
      ]),
    ),
    "8 GiB of nothing": [sparse("a.pth", 2 ** 33), "it is filled with zeros"],
  },
  model: {
    ...Object.fromEntries(
      ["../model.safetensors", "/etc/hostname", "..", "a/b.safetensors", "a\\b", "nul\0"].map((name) => [
        `an index that names ${JSON.stringify(name)}`,
        [
          (copy: string) => {
            rmSync(join(copy, "model.safetensors"));
            put("model.safetensors.index.json", JSON.stringify({ weight_map: { "model.norm.weight": name } }))(copy);
          },
          "is not the name of a file in this folder",
        ] as const,
      ]),
    ),
    "a further part": [put("mm_projector.safetensors", "x"), "is a part that is not read"],
    "an adapter beside it": [put(CONFIG, "{}"), "which transformers puts on the model"],
    "a device for its config": [replaced("config.json", "/dev/urandom"), "outside of the folder"],
    "an index of brackets": [
      (copy) => {
        rmSync(join(copy, "model.safetensors"));
        put("model.safetensors.index.json", `{"weight_map":${"[".repeat(4 * MIB)}`)(copy);
      },
      "nested more than 1000",
    ],
    "weights linked out of the folder": [linkedOut("model.safetensors"), "outside of the folder"],
    "weights under the name of torch's": [
      (copy) => renameSync(join(copy, "model.safetensors"), join(copy, "pytorch_model.bin")),
      "it is a safetensors file: give it a name that ends in .safetensors",
    ],
    "a config with a size of Infinity": [
      edited("config.json", /"hidden_size": \d+/, '"hidden_size": 1e999'),
      "hidden_size",
    ],
    "sizes whose product is no number": [
      edited("config.json", /"vocab_size": \d+/, '"vocab_size": 9007199254740991'),
      /vocab_size|needs/,
    ],
    "a quadrillion layers": [
      edited("config.json", /"num_hidden_layers": \d+/, '"num_hidden_layers": 1e15'),
      /num_hidden_layers|in no weight file/,
    ],
    "a config of 100 MB": [sparse("config.json", 1e8), /it has 100000000 bytes/],
  },
  tokenizer: {
    "linked out of the folder": [linkedOut("tokenizer.json"), "outside of the folder"],
    "whose config is linked out of the folder": [linkedOut("tokenizer_config.json"), "outside of the folder"],
    "that is a pipe": [
      (copy) => {
        rmSync(join(copy, "tokenizer.json"));
        execFileSync("mkfifo", [join(copy, "tokenizer.json")]);
      },
      "it is a pipe: needed is a regular file",
    ],
    "of 101 MB": [sparse("tokenizer.json", 101e6), "tokenizer.json"],
    "of brackets": [put("tokenizer.json", "[".repeat(90 * MIB)), "nested more than 1000"],
    "with an id that would make a huge array": [
      edited("tokenizer.json", /"id": ?\d+/, '"id": 1e12'),
      "added_tokens holds a bad entry",
    ],
    "with a regular expression that backtracks for ever": [
      (copy) => {
        const path = join(copy, "tokenizer.json");
        const json = JSON.parse(readFileSync(path, "utf8")) as object;
        const pre_tokenizer = { type: "Split", pattern: { Regex: "(a+)+b" }, behavior: "Isolated" };
        writeFileSync(path, JSON.stringify({ ...json, pre_tokenizer }));
      },
      "takes too long on a text of",
    ],
  },
};
