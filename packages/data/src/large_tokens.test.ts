/** Tokens that stay in their file: the same as in memory, in all that is made of them. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSamples, type SampleTokens } from "@zerogate/core/node";
import { expect, onTestFinished, test } from "vitest";
import { tinyTokenizerFiles } from "../test/tiny_tokenizer.ts";
import { beginningsOf } from "./beginnings.ts";
import { createPlan } from "./plan.ts";
import { type PreparedTokens, prepareTokens } from "./prepare.ts";
import { splitSamples } from "./split.ts";
import { measureSamples, tokenStats } from "./token_set.ts";
import { createTokenizer } from "./tokenizer.ts";

const COUNT = 1200;
/** Some are twice there, some are too long, some bad. */
const record = (i: number) => ({
  instruction: `ab ${i % 1000}`,
  output: i % 97 === 5 ? null : "cd".repeat(1 + (i % 23)),
});

async function setUp() {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-large-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const paths = join(folder, "data.jsonl");
  await writeFile(paths, Array.from({ length: COUNT }, (_, i) => JSON.stringify(record(i))).join("\n"));
  const warnings: string[] = [];
  const options = {
    paths,
    tokenizer: createTokenizer(tinyTokenizerFiles()),
    template: { name: "bare", withInput: "{instruction}{input}", withoutInput: "{instruction}" },
    rule: "response",
    maxLength: 30,
    skipBad: true,
    onWarning: (message: string) => warnings.push(message),
  } as const;
  return { folder, cacheDir: join(folder, "cache"), warnings, options };
}

/** What is compared of both: all but where the tokens lie. */
function everything({ tokens, isCached, ...rest }: PreparedTokens<SampleTokens>) {
  expect(typeof isCached).toBe("boolean");
  const all = Int32Array.from({ length: tokens.offsets.length - 1 }, (_, i) => i);
  const set = "ids" in tokens ? tokens : readSamples(tokens, all);
  const samples = splitSamples(tokens, { seed: 3, validation: 0.1 });
  const cost = { token: 100, pair: 1, label: 30 };
  const sizes = { ...measureSamples(tokens), beginnings: beginningsOf(tokens) };
  const plan = createPlan({
    ...sizes,
    samples: samples.train,
    seed: 5,
    batchSize: 16,
    cellTokens: 100,
    even: { multiple: 3, cost },
  });
  const steps = Array.from({ length: 2 * plan.stepsPerEpoch }, (_, s) => plan.step(s));
  return { ...rest, hash: tokens.hash, set: { ...set, hash: "" }, samples, plan: plan.hash, steps };
}

test("tokens, split, plan and beginnings are those of memory, also when they come from the cache [D-large-bits]", async () => {
  const { cacheDir, options, warnings } = await setUp();
  const memory = await prepareTokens(options);
  const made = await prepareTokens({ ...options, cacheDir, memoryBytes: 1000 });
  const again = await prepareTokens({ ...options, cacheDir, memoryBytes: 1000 });
  const whole = await prepareTokens({ ...options, cacheDir });
  const [tokenFile, ...others] = await readdir(cacheDir);
  expect([made, again].map(({ tokens }) => "path" in tokens && tokens.path)).toEqual(
    Array(2).fill(join(cacheDir, tokenFile ?? "")),
  );
  expect(others).toEqual([]);
  expect([made.isCached, again.isCached, whole.isCached]).toEqual([false, true, true]);
  const expected = everything(memory);
  for (const one of [made, again, whole]) expect(everything(one)).toEqual(expected);
  expect(tokenStats(made.tokens, memory.stats)).toEqual(memory.stats);
  expect(warnings).toEqual([]);
});

test("the file is the same whether its tokens came from memory or part after part [D-large-bits]", async () => {
  const { folder, options } = await setUp();
  const files: Buffer[] = [];
  for (const [name, memoryBytes] of [["one", Number.POSITIVE_INFINITY] as const, ["two", 1] as const]) {
    const cacheDir = join(folder, name);
    await prepareTokens({ ...options, cacheDir, memoryBytes });
    files.push(await readFile(join(cacheDir, (await readdir(cacheDir))[0] ?? "")));
  }
  expect(files[0]?.equals(files[1] ?? Buffer.alloc(0))).toBe(true);
});

test("a damaged file is noticed before anything of it is used, wherever the damage is [T-B2]", async () => {
  const { cacheDir, options, warnings } = await setUp();
  const large = { ...options, cacheDir, memoryBytes: 1000 };
  const first = everything(await prepareTokens(large));
  const path = join(cacheDir, (await readdir(cacheDir))[0] ?? "");
  const bytes = await readFile(path);
  for (const at of [14, 3000, 20_000, bytes.length - 5000, bytes.length - 40, bytes.length - 1]) {
    await writeFile(path, bytes.with(at, (bytes[at] ?? 0) ^ 1));
    expect(everything(await prepareTokens(large))).toEqual(first);
    expect(warnings.splice(0)).toEqual([expect.stringContaining("tokenising again")]);
  }
});

test("a folder that is a file is reported, and the tokens stay in memory", async () => {
  const { folder, options, warnings } = await setUp();
  await writeFile(join(folder, "file"), "");
  const cacheDir = join(folder, "file", "cache");
  const { tokens } = await prepareTokens({ ...options, cacheDir, memoryBytes: 1000 });
  expect("ids" in tokens).toBe(true);
  expect(warnings.some((warning) => warning.endsWith("they stay in memory"))).toBe(true);
});

test("an error of a record leaves no file behind", async () => {
  const { cacheDir, options } = await setUp();
  const large = { ...options, cacheDir, memoryBytes: 1000 };
  await expect(prepareTokens({ ...large, maxLength: 2 })).rejects.toThrow("raise maxLength");
  await expect(prepareTokens({ ...large, skipBad: false })).rejects.toThrow("Cannot use");
  expect(await readdir(cacheDir).catch(() => [])).toEqual([]);
});
