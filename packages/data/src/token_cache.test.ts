/** Token files whose own checksum is right, and which are not what tokenising gave. */
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { tinyTokenizerFiles } from "../test/tiny_tokenizer.ts";
import { type PreparedTokens, type PrepareOptions, prepareTokens } from "./prepare.ts";
import { tokenCacheKey } from "./token_cache.ts";
import { hashTokens } from "./token_set.ts";
import { createTokenizer } from "./tokenizer.ts";

const MAGIC_BYTES = 8;
const HEAD_BYTES = MAGIC_BYTES + 4;

interface TokenFile {
  header: Record<string, unknown> & { tokens: number; samples: number; imageBytes: number; stats: unknown };
  ids: Int32Array;
  target: Uint8Array;
  offsets: Float64Array;
  recordOf: Int32Array;
  imageList: Uint8Array;
  trailing: Uint8Array;
}

interface Cache {
  readonly options: PrepareOptions;
  readonly first: PreparedTokens;
  readonly warnings: string[];
  /** Writes the token file again as `change` makes it, with a right checksum. */
  readonly forge: (change: (file: TokenFile) => void) => Promise<void>;
}

async function setUp(): Promise<Cache> {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-token-cache-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const paths = join(folder, "data.json");
  const records = Array.from({ length: 20 }, (_, i) => ({ instruction: `ab ${i}`, output: "cd".repeat(1 + (i % 3)) }));
  await writeFile(paths, JSON.stringify(records));
  const warnings: string[] = [];
  const cacheDir = join(folder, "cache");
  const options: PrepareOptions = {
    paths,
    tokenizer: createTokenizer(tinyTokenizerFiles()),
    template: { name: "bare", withInput: "{instruction}{input}", withoutInput: "{instruction}" },
    rule: "response",
    maxLength: 12,
    cacheDir,
    onWarning: (message) => warnings.push(message),
  };
  const first = await prepareTokens(options);
  const path = join(cacheDir, (await readdir(cacheDir))[0]!);
  const original = await readFile(path);
  const forge: Cache["forge"] = async (change) => {
    const file = parse(original);
    change(file);
    await writeFile(path, serialize(file));
  };
  return { options, first, warnings, forge };
}

function parse(bytes: Buffer): TokenFile {
  const headerEnd = HEAD_BYTES + bytes.readUInt32LE(MAGIC_BYTES);
  const header = JSON.parse(bytes.toString("utf8", HEAD_BYTES, headerEnd)) as TokenFile["header"];
  const { tokens, samples, imageBytes } = header;
  let at = headerEnd;
  const take = (length: number) => Uint8Array.from(bytes.subarray(at, (at += length)));
  return {
    header,
    ids: new Int32Array(take(4 * tokens).buffer),
    target: take(tokens),
    offsets: new Float64Array(take(8 * (samples + 1)).buffer),
    recordOf: new Int32Array(take(4 * samples).buffer),
    imageList: take(imageBytes),
    trailing: new Uint8Array(),
  };
}

function serialize({ header, ids, target, offsets, recordOf, imageList, trailing }: TokenFile): Buffer {
  const text = Buffer.from(JSON.stringify(header));
  const head = Buffer.alloc(HEAD_BYTES);
  head.write("ZGTOKENS");
  head.writeUInt32LE(text.length, MAGIC_BYTES);
  const arrays = [ids, offsets, recordOf].map(({ buffer }) => new Uint8Array(buffer));
  const body = Buffer.concat([head, text, arrays[0]!, target, arrays[1]!, arrays[2]!, imageList]);
  return Buffer.concat([body, createHash("sha256").update(body).digest(), trailing]);
}

/** Names the hash of what the file now holds: only what no tokenising gives can be noticed then. */
const nameHash = (file: TokenFile) => {
  file.header["hash"] = hashTokens(file);
};

test("the file that was written is read again as it was [T-B2]", async () => {
  const { options, first, warnings, forge } = await setUp();
  await forge(() => {});
  expect(await prepareTokens(options)).toEqual({ ...first, isCached: true });
  expect(warnings).toEqual([]);
});

test("other ids under the hash of the true ones are noticed [T-B2]", async () => {
  const { options, first, warnings, forge } = await setUp();
  await forge(({ ids }) => {
    ids[3] = ids[4]!;
  });
  expect(await prepareTokens(options)).toEqual(first);
  expect(warnings).toEqual([expect.stringContaining("its tokens are not those whose hash it names: tokenising again")]);
});

test("the key changes with everything that tokens depend on, and with nothing else [T-B2]", () => {
  const file = { path: "a.json", bytes: 3, sha256: "1".repeat(64) };
  const files = tinyTokenizerFiles();
  const input = {
    files: [file],
    tokenizer: createTokenizer(files),
    template: { name: "bare", withInput: "{instruction}{input}", withoutInput: "{instruction}" },
    rule: "response",
    maxLength: 12,
    reading: [false, false],
  } as const;
  const same = [input, { ...input, files: [{ ...file, path: "b.json" }] }, { ...input, bos: "tokenizer" as const }];
  const { template } = input;
  const named = createTokenizer(tinyTokenizerFiles(undefined, { bos_token: "<unk>", eos_token: "</s>" }));
  const others = [
    { ...input, files: [file, file] },
    { ...input, files: [{ ...file, sha256: "2".repeat(64) }] },
    { ...input, tokenizer: createTokenizer({ ...files, tokenizerConfigJson: `${files.tokenizerConfigJson} ` }) },
    { ...input, tokenizer: createTokenizer({ ...files, modelVocabSize: 300 }) },
    { ...input, tokenizer: { ...input.tokenizer, eosId: 0 } },
    { ...input, tokenizer: named },
    { ...input, tokenizer: named, bos: "named" as const },
    { ...input, template: { ...template, withInput: "{input}{instruction}" } },
    { ...input, template: { ...template, withoutInput: "{instruction} " } },
    { ...input, rule: "all" as const },
    { ...input, maxLength: 13 },
    { ...input, reading: [true, false] },
    { ...input, reading: [false, true] },
  ];
  expect(new Set(same.map(tokenCacheKey)).size).toBe(1);
  expect(new Set([input, ...others].map(tokenCacheKey)).size).toBe(1 + others.length);
});

const changes: [what: string, message: string, (file: TokenFile) => void][] = [
  ["a target of 2", "a target other than 0 and 1", (file) => (file.target[5] = 2)],
  ["an id below 0", "a token id below 0", (file) => (file.ids[5] = -1)],
  ["a first sample that begins late", "do not span its tokens", (file) => (file.offsets[0] = 1)],
  ["a last sample that ends early", "do not span its tokens", (file) => (file.offsets[file.header.samples]! -= 1)],
  ["an empty sample", "its sample 1 ends before it begins", (file) => (file.offsets[2] = file.offsets[1]!)],
  ["offsets that fall", "its sample 2 ends before it begins", (file) => (file.offsets[3] = 1)],
  ["an offset that is no integer", "its sample 1 ends before it begins", (file) => (file.offsets[2]! += 0.5)],
  ["an offset that is not a number", "its sample 1 ends before it begins", (file) => (file.offsets[2] = Number.NaN)],
  ["a sample without a target", "its sample 0 has no target", (file) => file.target.fill(0, 0, file.offsets[1])],
  ["records out of order", "its records are out of order", (file) => file.recordOf.set(file.recordOf.toReversed())],
  ["a record twice", "its records are out of order", (file) => (file.recordOf[1] = file.recordOf[0]!)],
  ["a record below 0", "its records are out of order", (file) => (file.recordOf[0] = -1)],
];

test.each(changes)("%s is noticed, under any hash [T-B2]", async (_, message, change) => {
  const { options, first, warnings, forge } = await setUp();
  await forge((file) => {
    change(file);
    nameHash(file);
  });
  expect(await prepareTokens(options)).toEqual(first);
  expect(warnings).toEqual([expect.stringContaining(message)]);
});

const imageLists: [what: string, images: unknown][] = [
  ["what is no list", { record: 0, file: 0, paths: ["a.png"] }],
  ["records out of order", [1, 0].map((record) => ({ record, file: 0, index: record, paths: ["a.png"] }))],
  ["a record without a path", [{ record: 0, file: 0, index: 0, paths: [] }]],
  ["images of a file that there is not", [{ record: 0, file: 1, index: 0, paths: ["a.png"] }]],
];

test.each(imageLists)("%s among the images is noticed, under any hash [T-B2]", async (_, images) => {
  const { options, first, warnings, forge } = await setUp();
  await forge((file) => {
    file.imageList = Buffer.from(JSON.stringify(images));
    file.header.imageBytes = file.imageList.length;
  });
  expect(await prepareTokens(options)).toEqual(first);
  expect(warnings).toEqual([expect.stringMatching(/images.*: tokenising again/)]);
});

const headers: [what: string, message: string, (file: TokenFile) => void][] = [
  ["no stats", "its header is not that of a token file", ({ header }) => (header.stats = null)],
  ["other stats", "counts other tokens", ({ header }) => (header.stats = { ...(header.stats as object), longest: 3 })],
  ["a key more", "its header is not that of a token file", ({ header }) => (header["more"] = 1)],
  ["fewer skipped than none", "its header is not that of a token file", ({ header }) => (header["skipped"] = -1)],
  ["problems of another form", "its header is not that of a token file", ({ header }) => (header["problems"] = [{}])],
  ["another key", "its header and its size differ", ({ header }) => (header["key"] = "0".repeat(64))],
  ["a sample less", "its header and its size differ", ({ header }) => (header.samples -= 1)],
  ["bytes behind its checksum", "its header and its size differ", (file) => (file.trailing = Uint8Array.of(1))],
];

test.each(headers)("a file with %s is noticed [T-B2]", async (_, message, change) => {
  const { options, first, warnings, forge } = await setUp();
  await forge(change);
  expect(await prepareTokens(options)).toEqual(first);
  expect(warnings).toEqual([expect.stringContaining(message)]);
});
