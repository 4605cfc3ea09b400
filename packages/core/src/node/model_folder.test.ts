import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeTinyModel } from "../../test/tiny_files.ts";
import { adapterConfig, tinyAdapter, tinyConfig, tinyImage } from "../../test/tiny_model.ts";
import { baseHash, loadAdapter, loadWeights, readModelConfig, refuseOutsideLinks, saveAdapter } from "../node.ts";

const scratch = mkdtempSync(join(tmpdir(), "zerogate-folder-"));
afterAll(() => rmSync(scratch, { recursive: true }));
const at = (...parts: string[]) => join(scratch, ...parts);

const config = tinyConfig();
const [model, adapter] = [at("model"), at("adapter")];
beforeAll(async () => {
  mkdirSync(model);
  writeTinyModel(model, config, tinyImage(config));
  await saveAdapter(adapter, { ...tinyAdapter(config), config: adapterConfig() });
});

let count = 0;
function copyOf(folder: string): string {
  const copy = at(`copy-${count++}`);
  cpSync(folder, copy, { recursive: true });
  return copy;
}
/** Moves the file elsewhere and links to it. */
function linked(folder: string, name: string): string {
  const away = at(`away-${count++}`);
  renameSync(join(folder, name), away);
  symlinkSync(away, join(folder, name));
  return away;
}
const load = async (folder: string) => {
  return loadWeights(folder, await readModelConfig(folder), { weightDtypes: ["f32"], mapFiles: true });
};
const messageOf = (work: Promise<unknown>) =>
  work.then(
    () => "not refused",
    (error: Error) => error.message,
  );

describe("links", () => {
  test("of files are followed wherever they lead: config, weights, adapter [T-C2]", async () => {
    const folder = copyOf(model);
    for (const name of ["config.json", "model.safetensors"]) linked(folder, name);
    expect((await load(folder)).bytes).toEqual((await load(model)).bytes);
    expect(await baseHash(folder)).toBe(await baseHash(model));
    const moved = copyOf(adapter);
    for (const name of ["adapter_config.json", "adapter_model.safetensors"]) linked(moved, name);
    expect((await loadAdapter(moved, config)).params).toEqual((await loadAdapter(adapter, config)).params);
  });

  test("form the hub's cache: a snapshot, a folder in it, files of one's own beside them [T-C2, T-case04, T-case05]", async () => {
    const blobs = at("models--org--tiny", "blobs");
    const snapshot = at("models--org--tiny", "snapshots", "abc123");
    mkdirSync(blobs, { recursive: true });
    for (const [folder, up] of [
      [snapshot, "../.."],
      [join(snapshot, "sub"), "../../.."],
      [at("local"), "models--org--tiny"],
    ] as const) {
      mkdirSync(folder, { recursive: true });
      for (const name of ["config.json", "model.safetensors"]) {
        writeFileSync(join(blobs, `blob-${name}`), readFileSync(join(model, name)));
        symlinkSync(join(folder === at("local") ? blobs : join(up, "blobs"), `blob-${name}`), join(folder, name));
      }
      expect(await baseHash(folder)).toBe(await baseHash(model));
      expect((await load(folder)).bytes).toEqual((await load(model)).bytes);
    }
    rmSync(join(at("local"), "config.json"));
    writeFileSync(join(at("local"), "config.json"), readFileSync(join(model, "config.json")));
    expect(await baseHash(at("local"))).toBe(await baseHash(model));
    // The cache's own links stay within the repository, those of the other folder do not.
    for (const folder of [snapshot, join(snapshot, "sub")]) await refuseOutsideLinks(folder);
    expect(await messageOf(refuseOutsideLinks(at("local")))).toContain("model.safetensors is a link to");
  });

  test("to nothing are named with what they lead to, over several links and in a folder's own path [T-C2]", async () => {
    const folder = copyOf(model);
    rmSync(join(folder, "model.safetensors"));
    symlinkSync("second", join(folder, "model.safetensors"));
    symlinkSync("/scratch/not/mounted.safetensors", join(folder, "second"));
    expect(await messageOf(load(folder))).toBe(
      `Cannot read ${join(folder, "model.safetensors")}: it is a link to /scratch/not/mounted.safetensors, which is not there: mount or copy what it leads to`,
    );
    rmSync(join(folder, "second"));
    symlinkSync("../blobs/abcd", join(folder, "second"));
    expect(await messageOf(load(folder))).toContain("/blobs/abcd, which is not there: download the model again");
    symlinkSync(at("gone"), at("current"));
    expect(await messageOf(readModelConfig(at("current")))).toBe(
      `Cannot read ${at("current", "config.json")}: ${at("current")} is a link to ${at("gone")}, which is not there: mount or copy what it leads to`,
    );
    expect(await messageOf(readModelConfig(at("never")))).toBe(
      `Cannot read from ${at("never")}: there is no such folder`,
    );
    expect(await messageOf(readModelConfig(join(model, "config.json")))).toContain(
      "it is a regular file, needed is the folder",
    );
  });

  test("that lead out are listed if they are not to be followed, and those within the folder are not [T-C2]", async () => {
    const folder = copyOf(model);
    const away = linked(folder, "model.safetensors");
    renameSync(join(folder, "config.json"), join(folder, "own.json"));
    symlinkSync("own.json", join(folder, "config.json"));
    symlinkSync("/etc", join(folder, "vision_tower"));
    symlinkSync("../../nowhere", join(folder, "tokenizer.json"));
    const message = await messageOf(refuseOutsideLinks(folder));
    expect(message).toContain(`Cannot use ${folder} without following links:\n`);
    expect(message).toContain(`  - model.safetensors is a link to ${away}, outside of the folder: copy that file here`);
    expect(message).toContain("  - vision_tower is a link to /etc, outside");
    expect(message).toMatch(/ {2}- tokenizer\.json is a link to .*\/nowhere, outside/);
    expect(message).not.toContain("config.json is");
    const sibling = at("model-2"); // begins like the folder's name and is another one
    mkdirSync(sibling);
    const beside = copyOf(model);
    symlinkSync(sibling, join(beside, "x"));
    expect(await messageOf(refuseOutsideLinks(beside))).toContain("x is a link to");
    await refuseOutsideLinks(model);
    expect(await messageOf(refuseOutsideLinks(at("never")))).toContain("there is no such file or folder");
  });
});

test.skipIf(process.platform === "win32")(
  "what is no file is named and not waited for: folder, pipe, socket, device, a circle of links (skipped on Windows) [T-C2, T-B11]",
  async () => {
    const server = createServer().listen(at("socket"));
    await new Promise((done) => server.once("listening", done));
    execFileSync("mkfifo", [at("pipe")]);
    const kinds = {
      [at("adapter")]: "a folder",
      [at("pipe")]: "a pipe",
      [at("socket")]: "a socket",
      "/dev/zero": "a device",
    };
    try {
      for (const [target, kind] of Object.entries(kinds)) {
        for (const [folder, name, read] of [
          [model, "config.json", readModelConfig],
          [model, "model.safetensors", load],
          [adapter, "adapter_config.json", (copy: string) => loadAdapter(copy, config)],
          [adapter, "adapter_model.safetensors", (copy: string) => loadAdapter(copy, config)],
        ] as const) {
          const copy = copyOf(folder);
          rmSync(join(copy, name));
          symlinkSync(target, join(copy, name));
          expect(await messageOf(read(copy))).toBe(
            `Cannot read ${join(copy, name)}: it is a link to ${target}, which is ${kind}: needed is a regular file`,
          );
        }
      }
    } finally {
      server.close();
    }
    const circle = copyOf(model);
    rmSync(join(circle, "model.safetensors"));
    symlinkSync("model.safetensors", join(circle, "model.safetensors"));
    expect(await messageOf(load(circle))).toContain("model.safetensors: it is a link that leads back to itself");
    const pipe = copyOf(model);
    rmSync(join(pipe, "config.json"));
    execFileSync("mkfifo", [join(pipe, "config.json")]);
    expect(await messageOf(readModelConfig(pipe))).toContain("config.json: it is a pipe: needed is a regular file");
  },
);

describe("a file that is something else says what it is", () => {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"5".repeat(64)}\nsize 4938985352\n`;
  const page = "<!DOCTYPE html><html><head><title>Log in</title></head></html>";
  const others: Record<string, [content: Uint8Array | string, says: string]> = {
    "a Git LFS pointer": [
      pointer,
      "it is a Git LFS pointer; the file itself (4.9 GB) was not fetched: run `git lfs pull`",
    ],
    "a web page": [page, 'it is a web page ("Log in")'],
    "the hub's refusal": ['{"error":"Repository not found"}', "it is a server's answer"],
    "an empty file": ["", "it is empty: download or copy it again"],
    zeros: [new Uint8Array(5000), "filled with zeros"],
    "a gzip file": [gzipSync("{}"), "it is a gzip file: unpack it with gunzip first"],
    "the text of a link": ["../../blobs/0123abcd", "it is the text of a link"],
    "a PNG image": [Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0), "it is a PNG image"],
    "a GGUF file": ["GGUF\u0003\0\0\0", "it is a GGUF file"],
  };
  test.each(Object.entries(others))(
    "%s as weights, config, index, adapter [T-C3, T-case07]",
    async (_, [content, says]) => {
      for (const [folder, name, read] of [
        [model, "config.json", readModelConfig],
        [model, "model.safetensors", load],
        [model, "model.safetensors.index.json", load],
        [adapter, "adapter_config.json", (copy: string) => loadAdapter(copy, config)],
        [adapter, "adapter_model.safetensors", (copy: string) => loadAdapter(copy, config)],
        [adapter, "adapter_model.bin", (copy: string) => loadAdapter(copy, config)],
      ] as const) {
        const copy = copyOf(folder);
        if (name.endsWith("index.json")) rmSync(join(copy, "model.safetensors"));
        if (name.endsWith(".bin")) rmSync(join(copy, "adapter_model.safetensors"));
        writeFileSync(join(copy, name), content);
        const message = await messageOf(read(copy));
        expect(message).toContain(`Cannot read ${join(copy, name)}: `);
        expect(message).toContain(says);
      }
    },
  );

  test("a file that was cut off says how much of it there is [T-C3]", async () => {
    const whole = readFileSync(join(model, "model.safetensors"));
    const copy = copyOf(model);
    writeFileSync(join(copy, "model.safetensors"), whole.subarray(0, 5000));
    expect(await messageOf(load(copy))).toMatch(
      new RegExp(
        `its tensors end at byte ${whole.length} \\(.* kB\\), the file at byte 5000 \\(5.0 kB\\): the file was cut off`,
      ),
    );
    writeFileSync(join(copy, "model.safetensors"), whole.subarray(0, 700));
    expect(await messageOf(load(copy))).toMatch(/its header claims \d+ bytes, 692 follow: the file was cut off/);
    writeFileSync(join(copy, "config.json"), readFileSync(join(model, "config.json")).subarray(0, 100));
    expect(await messageOf(load(copy))).toContain("config.json: it ends after 100 bytes in the middle");
  });
});
