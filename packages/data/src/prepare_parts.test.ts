/** Parts of the data as one set: the tokens of all files read at once, in memory or in a file. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSamples, type SampleTokens } from "@zerogate/core/node";
import { expect, onTestFinished, test } from "vitest";
import { tinyTokenizerFiles } from "../test/tiny_tokenizer.ts";
import { prepareTokens } from "./prepare.ts";
import { prepareParts } from "./prepare_parts.ts";
import { createTokenizer } from "./tokenizer.ts";

const bare = { name: "bare", withInput: "{instruction}{input}", withoutInput: "{instruction}" };

async function setUp() {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-parts-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const lines = (count: number, make: (i: number) => object) =>
    Array.from({ length: count }, (_, i) => JSON.stringify(make(i))).join("\n");
  const [a, b] = [join(folder, "a.jsonl"), join(folder, "b.jsonl")];
  const answer = (i: number) => (i % 9 === 8 ? null : "cd".repeat(1 + (i % 7)));
  await writeFile(
    a,
    lines(40, (i) => ({ instruction: `a ${i}`, output: answer(i), note: "x" })),
  );
  await writeFile(
    b,
    lines(30, (i) => ({ instruction: `b ${i}`, output: answer(i + 3), note: "x", more: 1 })),
  );
  const options = {
    tokenizer: createTokenizer(tinyTokenizerFiles()),
    template: bare,
    rule: "response",
    maxLength: 14,
    skipBad: true,
    memoryBytes: 1e9,
  } as const;
  return { folder, a, b, options };
}

const inMemory = (tokens: SampleTokens) => {
  const set =
    "ids" in tokens
      ? tokens
      : readSamples(
          tokens,
          Array.from({ length: tokens.offsets.length - 1 }, (_, i) => i),
        );
  return { ids: [...set.ids], target: [...set.target], offsets: [...set.offsets], hash: tokens.hash };
};

test("parts that are read alike are the tokens, the hash, the records and the counts of their files read at once [D-mix-parts]", async () => {
  const { folder, a, b, options } = await setUp();
  const whole = await prepareTokens({ ...options, paths: [a, b] });
  const joined = await prepareParts([{ paths: a }, { paths: b }], options);
  expect(inMemory(joined.tokens)).toEqual(inMemory(whole.tokens));
  const { tokens: _, stats, ...rest } = whole;
  expect(joined).toMatchObject({ ...rest, stats: { ...stats, uncut: { longest: stats.uncut.longest } } });
  for (const [i, { share, some, whole: all }] of stats.uncut.keeping.entries()) {
    const bound = joined.stats.uncut.keeping[i];
    expect(bound?.share).toBe(share);
    expect(bound?.some).toBeGreaterThanOrEqual(some);
    expect(bound?.whole).toBeGreaterThanOrEqual(all);
  }
  expect(joined.recordEnds).toEqual([36, 63]);
  const samplesOfA = joined.recordOf.filter((record) => record < 36).length;
  expect(samplesOfA).toBe((await prepareTokens({ ...options, paths: a })).stats.samples);

  const cacheDir = join(folder, "cache");
  for (const memoryBytes of [0, 500, 1e9]) {
    for (const isCached of [memoryBytes > 0, true]) {
      const stored = await prepareParts([{ paths: a }, { paths: b }], { ...options, cacheDir, memoryBytes });
      expect("ids" in stored.tokens).toBe(memoryBytes === 1e9);
      expect(inMemory(stored.tokens)).toEqual(inMemory(whole.tokens));
      expect({ ...stored, tokens: 0 }).toEqual({ ...joined, tokens: 0, isCached });
    }
  }
});

test("a part has columns and a template of its own [D-mix-parts]", async () => {
  const { folder, a, options } = await setUp();
  const other = join(folder, "other.jsonl");
  await writeFile(other, JSON.stringify({ q: "b", r: "cd" }));
  const own = { name: "own", withInput: "{instruction}{input}", withoutInput: "q: {instruction}" };
  const { tokens, recordEnds } = await prepareParts(
    [{ paths: a }, { paths: other, fields: { instruction: "q", output: "r" }, template: own }],
    options,
  );
  const last = inMemory(tokens);
  const ids = last.ids.slice(last.offsets.at(-2));
  expect(options.tokenizer.decode(ids)).toBe("q: bcd");
  expect(recordEnds).toEqual([36, 37]);
});
