import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tinyTokenizerFiles } from "../test/tiny_tokenizer.ts";
import { type PrepareOptions, prepareTokens } from "./prepare.ts";
import { findMissingImages, parseImages } from "./record_images.ts";
import { describeProblem } from "./record_problems.ts";
import { readRecords } from "./records.ts";
import { imagesOfSamples, withoutFaultyImages } from "./sample_images.ts";
import { createTokenizer } from "./tokenizer.ts";

let folder: string;
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "zerogate-record-images-")));
  await mkdir(join(folder, "photos"));
  for (const name of ["a.png", "b.png", "photos/a.png"]) await writeFile(join(folder, name), "");
  await symlink("/etc", join(folder, "etc"));
});
afterAll(() => rm(folder, { recursive: true }));

const record = (i: number, image?: unknown) => ({ instruction: `ab ${i}`, output: "cd".repeat(1 + (i % 3)), image });

async function write(name: string, records: readonly object[]): Promise<string> {
  const path = join(folder, name);
  const isList = name.endsWith(".json");
  await writeFile(path, isList ? JSON.stringify(records) : records.map((one) => JSON.stringify(one)).join("\n"));
  return path;
}

test("an image is a path, a list of paths, or nothing", () => {
  expect(["a.png", ["a.png", "b/c.jpg"], [], "", null, undefined].map(parseImages)).toEqual(
    [["a.png"], ["a.png", "b/c.jpg"], [], [], [], []].map((paths) => ({ paths })),
  );
  const faults = [5, { bytes: "…" }, ["a.png", null], ["a.png", ""], " ", "x".repeat(4097), Array(65).fill("a.png")];
  expect(faults.map(parseImages).map((found) => ("fault" in found ? found.fault.found : found.paths))).toEqual([
    "a value of type number",
    "a value of type object",
    "a list with null",
    "an empty path",
    "an empty path",
    "a path of 4097 characters",
    "65 images",
  ]);
});

test("images stand beside the records that have some, below their file's folder or the one that is named", async () => {
  const list = await write("list.json", [record(0, "a.png"), record(1), record(2, ["b.png", "a.png"])]);
  const lines = await write("lines.jsonl", [record(3, ""), record(4, "photos/a.png")]);
  const { records, images, unread } = await readRecords([list, lines], { images: true });
  expect(records).toHaveLength(5);
  expect(records[0]).toEqual({ instruction: "ab 0", input: "", output: "cd" });
  expect(images).toEqual([
    { record: 0, place: { file: list, index: 0 }, root: folder, paths: ["a.png"] },
    { record: 2, place: { file: list, index: 2 }, root: folder, paths: ["b.png", "a.png"] },
    { record: 4, place: { file: lines, line: 2 }, root: folder, paths: ["photos/a.png"] },
  ]);
  expect(unread).toEqual([]);
  const named = await readRecords(lines, { images: true, imageRoot: join(folder, "photos") });
  expect(named.images.map(({ root }) => root)).toEqual([join(folder, "photos")]);
});

test("without images the field is one that nobody reads, with its count, whatever it holds", async () => {
  const path = await write("text.json", [record(0, "a.png"), record(1, 5), record(2)]);
  const { records, images, unread } = await readRecords(path);
  expect([records.length, images]).toEqual([3, []]);
  expect(unread).toEqual([{ name: "image", records: 2 }]);
});

test("an image of another form is a problem of its record", async () => {
  const path = await write("forms.json", [record(0, 5), record(1, "a.png"), record(2, [7])]);
  await expect(readRecords(path, { images: true })).rejects.toThrow(
    /Cannot use 2 of 3 records.*record 0, field "image": found a value of type number, expected a path, a list of paths/s,
  );
  const { records, images, skipped } = await readRecords(path, { images: true, skipBad: true });
  expect([records.length, skipped, images.map((one) => one.record)]).toEqual([1, 2, [0]]);
});

test("images that are missing or lead out of the folder are found without a decoder [V14]", async () => {
  const paths = ["a.png", "c.png", "../x.png", "/etc/passwd", "etc/passwd", "https://example.org/a.png", "b.png"];
  const path = await write("missing.json", [...paths.map((one, i) => record(i, one)), record(9, ["a.png", "d.png"])]);
  const { images } = await readRecords(path, { images: true });
  const faults = [...(await findMissingImages(images))].map(([index, fault]) => [index, fault.path, fault.reason]);
  expect(faults).toEqual([
    [1, "c.png", expect.stringContaining("there is no such file")],
    [2, "../x.png", expect.stringContaining("it leads out of the folder of images")],
    [3, "/etc/passwd", expect.stringContaining("it is absolute")],
    [4, "etc/passwd", expect.stringContaining("a link leads to /etc/passwd")],
    [5, "https://example.org/a.png", expect.stringContaining("it is a URL")],
    [7, "d.png", expect.stringContaining("there is no such file")],
  ]);
});

async function optionsFor(records: readonly object[]): Promise<PrepareOptions> {
  return {
    paths: await write(`prepare-${records.length}.json`, records),
    tokenizer: createTokenizer(tinyTokenizerFiles()),
    template: { name: "bare", withInput: "{instruction}{input}", withoutInput: "{instruction}" },
    rule: "response",
    maxLength: 9,
    images: true,
    cacheDir: join(folder, "cache"),
  };
}

test("the token cache keeps them, and gives them the folder of today", async () => {
  const options = await optionsFor(Array.from({ length: 9 }, (_, i) => record(i, i % 2 === 0 ? "a.png" : undefined)));
  const first = await prepareTokens(options);
  expect(first.images.map((one) => one.record)).toEqual([0, 2, 4, 6, 8]);
  expect(await prepareTokens(options)).toEqual({ ...first, isCached: true });
  const moved = await prepareTokens({ ...options, imageRoot: "/elsewhere" });
  expect(moved).toEqual({
    ...first,
    isCached: true,
    images: first.images.map((one) => ({ ...one, root: "/elsewhere" })),
  });
  expect((await prepareTokens({ ...options, images: false })).unread).toEqual([{ name: "image", records: 5 }]);
});

test("samples whose images cannot be used are refused, or left out and counted", async () => {
  const missing = ["c.png", "d.png", "../x.png", "a.png"];
  const options = await optionsFor([
    ...Array.from({ length: 6 }, (_, i) => record(i, missing[i])),
    { ...record(7, "gone.png"), output: "cd".repeat(30) },
    { ...record(8, "gone.png"), instruction: "ab ".repeat(30) },
  ]);
  const prepared = await prepareTokens(options);
  const { tokenizer } = options;
  expect([...imagesOfSamples(prepared.recordOf, prepared.images)]).toEqual([0, 1, 2, 3, -1, -1, 4]);
  const faults = await findMissingImages(prepared.images);
  const rules = { skipBad: false, eosId: tokenizer.eosId };
  expect(() => withoutFaultyImages(prepared, faults, rules)).toThrow(
    new RegExp(
      "Cannot use 5 of 8 records \\(skip bad records to leave such out\\).*" +
        'records 0, 1, 6 and 7, field "image": found for example "c.png" \\(there is no such file or folder\\), ' +
        'expected an image below .*"../x.png" \\(it leads out',
      "s",
    ),
  );
  const left = withoutFaultyImages(prepared, faults, { ...rules, skipBad: true });
  expect([...left.recordOf]).toEqual([3, 4, 5]);
  const same = await prepareTokens(await optionsFor([3, 4, 5].map((i) => record(i, missing[i]))));
  expect(left.tokens).toEqual(same.tokens);
  expect({ ...left.stats, uncut: undefined }).toEqual({
    ...same.stats,
    uncut: undefined,
    truncated: same.stats.truncated + 1,
    droppedNoTarget: 1,
  });
  expect(left.skipped).toBe(4);
  expect(left.problems.map(describeProblem)).toHaveLength(2);
  expect(withoutFaultyImages(prepared, new Map(), rules)).toBe(prepared);
  const rows = { values: new Float32Array(5), size: 1 };
  const images = { rowOf: Int32Array.of(0, 1, 2, 3, -1, -1, 4), rows };
  const seen = withoutFaultyImages({ ...prepared, tokens: { ...prepared.tokens, images } }, faults, {
    ...rules,
    skipBad: true,
  });
  expect(seen.tokens.images).toEqual({ rowOf: Int32Array.of(3, -1, -1), rows });
});
