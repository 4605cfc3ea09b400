import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { tinyTokenizerFiles } from "../test/tiny_tokenizer.ts";
import { type PrepareOptions, prepareTokens } from "./prepare.ts";
import { createTokenizer } from "./tokenizer.ts";

/** Record 7 has no output. */
const record = (i: number) => ({ instruction: `ab ${i}`, output: i === 7 ? null : "cd".repeat(1 + (i % 5)) });

async function setUp(): Promise<{ folder: string; cacheDir: string; warnings: string[]; options: PrepareOptions }> {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-prepare-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const paths = join(folder, "data.json");
  await writeFile(paths, JSON.stringify(Array.from({ length: 50 }, (_, i) => record(i))));
  const warnings: string[] = [];
  const cacheDir = join(folder, "cache");
  const options: PrepareOptions = {
    paths,
    tokenizer: createTokenizer(tinyTokenizerFiles()),
    template: { name: "bare", withInput: "{instruction}{input}", withoutInput: "{instruction}" },
    rule: "response",
    maxLength: 12,
    skipBad: true,
    cacheDir,
    onWarning: (message) => warnings.push(message),
  };
  return { folder, cacheDir, warnings, options };
}

test("the second call loads from the cache what the first one made", async () => {
  const { cacheDir, warnings, options } = await setUp();
  const first = await prepareTokens(options);
  const second = await prepareTokens(options);
  expect([first.isCached, second.isCached]).toEqual([false, true]);
  expect(second).toEqual({ ...first, isCached: true });
  expect(first.skipped).toBe(1);
  expect(second.tokens.ids.buffer).toBeInstanceOf(SharedArrayBuffer);
  expect(await readdir(cacheDir)).toHaveLength(1);
  expect(warnings).toEqual([]);
});

test("everything that the tokens depend on makes another entry, the place of the data does not", async () => {
  const { folder, cacheDir, options } = await setUp();
  await prepareTokens(options);
  const json = { ...options.tokenizer.files, tokenizerConfigJson: '{"bos_token": "<s>", "eos_token": "</s>", "x": 1}' };
  const other = join(folder, "other.json");
  await writeFile(other, (await readFile(options.paths as string, "utf8")).replace("ab 3", "ab 4"));
  const changes: Partial<PrepareOptions>[] = [
    { rule: "all" },
    { maxLength: 13 },
    { template: { ...options.template, withoutInput: "{instruction} " } },
    { tokenizer: createTokenizer(json) },
    { paths: other },
    { paths: [options.paths as string, other] },
  ];
  for (const change of changes) expect((await prepareTokens({ ...options, ...change })).isCached).toBe(false);
  expect(await readdir(cacheDir)).toHaveLength(1 + changes.length);
  const copy = join(folder, "copy.json");
  await writeFile(copy, await readFile(options.paths as string));
  expect((await prepareTokens({ ...options, paths: copy })).isCached).toBe(true);
});

test("tokens kept while bad records were skipped are not used if they are to be refused", async () => {
  const { options } = await setUp();
  await prepareTokens(options);
  await expect(prepareTokens({ ...options, skipBad: false })).rejects.toThrow("Cannot use 1 of 50 records");
});

test("bad records are refused unless they are to be skipped, and without a cache nothing is kept", async () => {
  const { folder, options } = await setUp();
  const { cacheDir: _, skipBad: __, ...plain } = options;
  await expect(prepareTokens(plain)).rejects.toThrow("Cannot use 1 of 50 records");
  const { isCached, skipped, files } = await prepareTokens({ ...plain, skipBad: true });
  expect([isCached, skipped, files.map(({ path }) => path)]).toEqual([false, 1, [options.paths]]);
  expect(await readdir(folder)).toEqual(["data.json"]);
});

test("a damaged entry is noticed wherever the damage is, reported, and made again", async () => {
  const { cacheDir, warnings, options } = await setUp();
  const first = await prepareTokens(options);
  const path = join(cacheDir, (await readdir(cacheDir))[0]!);
  const bytes = await readFile(path);
  const damages: [string, () => Promise<void>][] = [
    ["the file ends too early", () => truncate(path, 5)],
    ["its header and its size differ", () => truncate(path, bytes.length - 1)],
    ["it is not a token file", () => writeFile(path, Buffer.alloc(bytes.length, 0x20))],
  ];
  for (const at of [14, 200, bytes.length - 400, bytes.length - 40, bytes.length - 1]) {
    damages.push(["", () => writeFile(path, bytes.with(at, bytes[at]! ^ 1))]);
  }
  for (const [message, damage] of damages) {
    await damage();
    const again = await prepareTokens(options);
    expect(again).toEqual(first);
    expect(warnings).toHaveLength(1);
    expect(warnings.pop()).toContain(message);
    expect((await prepareTokens(options)).isCached).toBe(true);
  }
});

test("a cache that cannot be written is reported, and the tokens are returned anyway", async () => {
  const { folder, warnings, options } = await setUp();
  await writeFile(join(folder, "file"), "");
  const { stats } = await prepareTokens({ ...options, cacheDir: join(folder, "file", "cache") });
  expect(stats.samples).toBe(49);
  expect(warnings.at(-1)).toContain("Cannot keep the tokens in");
});
