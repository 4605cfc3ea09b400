import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { InputError, packCell } from "@zerogate/core";
import { describe, expect, test } from "vitest";
import { tinyTokenizerFiles } from "../test/tiny_tokenizer.ts";
import { hashTokens, measureSamples } from "./token_set.ts";
import { type TokenizeOptions, tokenizeRecords } from "./tokenize.ts";
import { createTokenizer } from "./tokenizer.ts";

const options: TokenizeOptions = {
  tokenizer: createTokenizer(tinyTokenizerFiles()),
  template: { name: "bare", withInput: "{instruction}{input}", withoutInput: "{instruction}" },
  rule: "response",
  maxLength: 40,
};
/** Record i has a prompt of i mod 50 letters, so the longest leave no room for a response. */
const records = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    instruction: `c${"d".repeat(i % 50)}`,
    input: "",
    output: "ef".repeat(1 + (i % 7)),
  }));

test("tokens lie back to back in shared memory, with counts that add up", async () => {
  const { tokens, stats, recordOf } = await tokenizeRecords(records(100), options);
  for (const array of [tokens.ids, tokens.target, tokens.offsets])
    expect(array.buffer).toBeInstanceOf(SharedArrayBuffer);
  const { lengths, labelled } = measureSamples(tokens);
  expect(stats.samples + stats.droppedNoTarget).toBe(100);
  expect(stats.droppedNoTarget).toBe(26); // 3 + i mod 50 tokens lie before the response: none of it is left if i mod 50 is 37 … 49
  expect([lengths.length, recordOf.length]).toEqual([stats.samples, stats.samples]);
  expect(stats.tokens).toBe(lengths.reduce((a, b) => a + b));
  expect(stats.labelled).toBe(labelled.reduce((a, b) => a + b));
  expect([stats.longest, stats.meanLength]).toEqual([40, stats.tokens / stats.samples]);
  expect(tokens.hash).toBe(hashTokens(tokens));
  const last = stats.samples - 1;
  expect(options.tokenizer.decode([...packCell(tokens, [last]).ids_T])).toMatch(
    new RegExp(`^${records(100)[recordOf[last]!]!.instruction}(ef)*e?$`),
  );
});

test.each([100, 300])("of %d records those that were cut are counted, for any chunks", async (count) => {
  const whole = measureSamples((await tokenizeRecords(records(count), { ...options, maxLength: 1000 })).tokens);
  const { stats } = await tokenizeRecords(records(count), options);
  const long = whole.lengths.filter((length) => length > options.maxLength).length;
  expect(stats.truncated).toBe(long); // those without a token of the answer left are among them
  expect(stats.truncated).toBeGreaterThan(0);
  const { stats: uncut } = await tokenizeRecords(records(count), { ...options, maxLength: 1000 });
  expect([uncut.truncated, uncut.droppedNoTarget]).toEqual([0, 0]);
});

test("progress is reported up to the total", async () => {
  const calls: [number, number][] = [];
  await tokenizeRecords(records(300), { ...options, onProgress: (done, total) => calls.push([done, total]) });
  expect(calls).toEqual([
    [256, 300],
    [300, 300],
  ]);
  calls.length = 0;
  await tokenizeRecords(records(256), { ...options, onProgress: (done, total) => calls.push([done, total]) });
  expect(calls).toEqual([[256, 256]]);
});

test("data without any target is refused", async () => {
  await expect(tokenizeRecords(records(10).slice(2), { ...options, maxLength: 3 })).rejects.toThrow(
    "Cannot use the data: none of 8 records has a token of its response within maxLength 3, raise maxLength: all of them have one within 13",
  );
  await expect(tokenizeRecords(records(1), { ...options, maxLength: 1 })).rejects.toThrow(
    "Cannot tokenise to maxLength 1: an integer from 2 on is needed",
  );
  await expect(tokenizeRecords(records(1), { ...options, maxLength: 2.5 })).rejects.toThrow("maxLength 2.5");
  const all = await tokenizeRecords(records(1), { ...options, rule: "all", maxLength: 2 });
  expect(all.stats).toMatchObject({ samples: 1, tokens: 2, labelled: 1, truncated: 1 });
});

test("an abort ends a small job with the signal's reason", async () => {
  const controller = new AbortController();
  const work = tokenizeRecords(records(300), { ...options, signal: controller.signal });
  controller.abort(new Error("stop here"));
  await expect(work).rejects.toThrow("stop here");
});

const isUnbuilt = !existsSync(fileURLToPath(new URL("../dist/tokenize_worker.js", import.meta.url)));

describe(`worker threads${isUnbuilt ? " (skipped: needs pnpm build)" : ""}`, () => {
  test.skipIf(isUnbuilt)("the tokens are the same with 1 thread, with 3 and in pieces without a pool", async () => {
    const all = records(1500);
    const progress: number[] = [];
    const one = await tokenizeRecords(all, { ...options, threads: 1 });
    const three = await tokenizeRecords(all, { ...options, threads: 3, onProgress: (done) => progress.push(done) });
    expect(three).toEqual(one);
    expect(progress.at(-1)).toBe(1500);
    const piece = await tokenizeRecords(all.slice(0, 450), options);
    expect(one.tokens.ids.subarray(0, piece.tokens.ids.length)).toEqual(piece.tokens.ids);
    expect(one.recordOf.subarray(0, piece.recordOf.length)).toEqual(piece.recordOf);
  });

  test.skipIf(isUnbuilt)("an abort ends the pool with the signal's reason", async () => {
    const controller = new AbortController();
    const onProgress = () => controller.abort(new Error("stop here"));
    await expect(tokenizeRecords(records(3000), { ...options, onProgress, signal: controller.signal })).rejects.toThrow(
      "stop here",
    );
  });

  test.skipIf(isUnbuilt)("a bad record found in a worker rejects as the InputError that it is", async () => {
    const template = { name: "turns", withInput: "", withoutInput: "{instruction}</s>" };
    const bad = records(1000).with(700, { instruction: "x</s>", input: "", output: "y" });
    const error = await tokenizeRecords(bad, { ...options, template, threads: 2 }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).toContain('the one that begins "x</s>"');
  });

  test.skipIf(isUnbuilt)("a worker that cannot start rejects and does not hang", async () => {
    const files = { ...options.tokenizer.files, tokenizerJson: "{" };
    const broken = { ...options.tokenizer, files };
    await expect(tokenizeRecords(records(1000), { ...options, tokenizer: broken })).rejects.toThrow(
      "tokenizer.json is not JSON",
    );
  });
});
