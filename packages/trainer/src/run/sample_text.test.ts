/** Samples as errors, reports and people see them. */

import { fileURLToPath } from "node:url";
import { DeadlyCellError, DeviceDiedError, StepRefusedError } from "@zerogate/core";
import { encodePrompt, encodeSample, loadTemplate, loadTokenizer } from "@zerogate/data";
import { type DevicePool } from "@zerogate/workers";
import { expect, test } from "vitest";
import type { HeldOut } from "../open/data.ts";
import { endTokens } from "../open/end_tokens.ts";
import { reportBadNumbers } from "./bad_numbers.ts";
import { tellingSamples } from "./deadly_cell.ts";
import { evaluateHeldOut } from "./evaluate.ts";
import type { RunInputs } from "./inputs.ts";
import { askedIn, describeSample, splitSample } from "./sample_text.ts";
import { answerSamples } from "./samples.ts";

const tokenizer = await loadTokenizer(fileURLToPath(new URL("../../world/base", import.meta.url)));
const template = await loadTemplate("alpaca");
const inputs = { tokenizer, template };
const records = [
  { instruction: "Say hello", input: "", output: "hello" },
  { instruction: "Say it back", input: "blue bird", output: "blue bird" },
  { instruction: "Count", input: "", output: "one two three ".repeat(40) },
];
const format = { template, bos: "tokenizer", rule: "response", maxLength: 512 } as const;
const encoded = records.map((record) => encodeSample(tokenizer, format, record));
const lengths = encoded.map(({ ids }) => ids.length);
const offsets = Float64Array.from([0, ...lengths.map((_, i) => sum(lengths.slice(0, i + 1)))]);
const tokens = {
  hash: "",
  ids: Int32Array.from(encoded.flatMap(({ ids }) => [...ids])),
  target: Uint8Array.from(encoded.flatMap(({ ids, firstTarget }) => ids.map((_, t) => (t < firstTarget ? 0 : 1)))),
  offsets,
};
const source = { tokens, recordOf: Int32Array.of(4, 9, 12) };

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

test("a sample is cut where its answer begins, and its prompt is read back without the template", () => {
  for (const [i, { output, instruction, input }] of records.entries()) {
    const { promptIds, answerIds } = splitSample({ tokens }, i);
    expect(promptIds).toEqual(encodePrompt(tokenizer, format, { instruction, input }));
    expect(tokenizer.decode(answerIds).trim()).toBe(output.trim());
    expect(promptIds.length + answerIds.length).toBe(encoded[i]?.ids.length);
    expect(askedIn(promptIds, inputs)).toBe(input === "" ? instruction : `${instruction}\n${input}`);
  }
  expect(askedIn(tokenizer.encode("no template at all"), inputs)).toBe("no template at all");
  const unlearnt = { ids: Int32Array.of(5, 6, 7), target: new Uint8Array(3), offsets: Float64Array.of(0, 3), hash: "" };
  expect(splitSample({ tokens: unlearnt }, 0)).toEqual({ promptIds: [5, 6, 7], answerIds: [] });
});

test("an error shows a sample by its number, its record, what is asked and the answer, up to two hundred characters", () => {
  expect(describeSample(source, 0, inputs)).toBe('sample 0 (record 4 of the data): "Say hello → hello"');
  expect(describeSample(source, 1, inputs)).toBe(
    'sample 1 (record 9 of the data): "Say it back\\nblue bird → blue bird"',
  );
  const blank = { ...tokens, ids: Int32Array.from([...tokens.ids, ...tokenizer.encode("  ")]) };
  const spaced = {
    ...blank,
    target: Uint8Array.from([...tokens.target, ...blank.ids.slice(tokens.ids.length).fill(1)]),
    offsets: Float64Array.of(offsets[2] ?? 0, blank.ids.length),
  };
  expect(tokenizer.decode(splitSample({ tokens: spaced }, 0).answerIds)).toMatch(/\s$/);
  expect(describeSample({ ...source, tokens: spaced }, 0, inputs)).not.toMatch(/\s"$/);
  const long = `Count → ${records[2]?.output.trim()}`;
  expect(describeSample(source, 2, inputs)).toBe(
    `sample 2 (record 12 of the data): ${JSON.stringify(`${long.slice(0, 200)}…`)}`,
  );
  const exact = { ...tokens, ids: Int32Array.from(tokens.ids) };
  expect(describeSample({ ...source, tokens: exact }, 0, inputs)).not.toContain("…");
});

const death = new DeviceDiedError(0, "step 1 cell 1", new Error("gone"));
async function messageOf(error: Error, more: Partial<HeldOut> = {}): Promise<Error> {
  const failing = async (): Promise<never> => {
    throw error;
  };
  try {
    return await tellingSamples(failing(), { ...source, ...more }, inputs);
  } catch (thrown) {
    return thrown as Error;
  }
}

test("a cell that ended two workers is said with its samples, five of them, and what to do", async () => {
  expect(await tellingSamples(Promise.resolve(7), source, inputs)).toBe(7);
  const other = new Error("another");
  expect(await messageOf(other)).toBe(other);
  const deadly = new DeadlyCellError("step 1", 1, [0, 1], death);
  const said = await messageOf(deadly);
  expect(said.cause).toBe(deadly);
  expect(said.message.split("\n")).toEqual([
    deadly.message,
    `  - ${describeSample(source, 0, inputs)}`,
    `  - ${describeSample(source, 1, inputs)}`,
    "Make room in memory, lower cellTokens in a new run, or take these samples out",
  ]);
  const linesOf = async (samples: number[]) =>
    (await messageOf(new DeadlyCellError("step 1", 1, samples, death))).message.split("\n").slice(1, -1);
  expect(await linesOf([0, 0, 0, 0, 0])).toHaveLength(5);
  const seven = await linesOf([0, 0, 0, 0, 0, 0, 0]);
  expect(seven).toHaveLength(6);
  expect(seven.at(-1)).toBe("  - and 2 more");
});

test("of a prompt that ended two workers the held-out sample is said that it was made of", async () => {
  const deadly = new DeadlyCellError("generation", 1, [], death);
  const said = await messageOf(deadly, { samples: Int32Array.of(2, 0, 1) });
  expect(said.message).toContain(`\n  - ${describeSample(source, 0, inputs)}\n`);
  expect(said.message.split("\n")).toHaveLength(3);
  expect((await messageOf(deadly)).message.split("\n")).toHaveLength(2);
});

test("an answer ends at the model's end tokens, the tokenizer's and that of a turn, each once", () => {
  const chat = { name: "chat", chat: "x", tokens: {}, turns: "all", end: "<unk>" } as const;
  const [unknown = -1] = tokenizer.encode("<unk>", { addSpecialTokens: false });
  expect(endTokens(tokenizer, { eosTokenIds: [7] }, chat)).toEqual([7, tokenizer.eosId, unknown]);
  expect(endTokens(tokenizer, { eosTokenIds: [7, 9] }, template)).toEqual([7, 9, tokenizer.eosId]);
  expect(endTokens(tokenizer, { eosTokenIds: [tokenizer.eosId, 9] }, template)).toEqual([tokenizer.eosId, 9]);
});

const heldOut: HeldOut = { set: "validation", ...source, samples: Int32Array.of(2, 0, 1), cells: [[2], [0, 1]] };

test("held-out loss is a mean over labelled tokens, exact match a share of samples", async () => {
  const asked: unknown[] = [];
  const adapter = { job: "mine", version: 8 };
  const pool = {
    evaluate: async (job: unknown) => (asked.push(job), { lossSum: 6, labelledTokens: 4, exactSamples: 2 }),
  } as unknown as DevicePool;
  expect(await evaluateHeldOut(pool, heldOut, inputs, adapter)).toEqual({
    loss: 1.5,
    perplexity: Math.exp(1.5),
    labelledTokens: 4,
    exactMatch: 2 / 3,
  });
  expect(asked).toEqual([{ set: "validation", cells: heldOut.cells, adapter }]);
});

test("the first held-out samples are answered by the base, then by the adapter, twice as long as the longest answer and eight tokens more", async () => {
  const asked: { prompts: readonly number[][]; adapter: object | undefined; options: object }[] = [];
  const pool = {
    generateAll: async (job: (typeof asked)[number]) => {
      asked.push(job);
      const text = job.adapter ? " with " : " without ";
      return job.prompts.map(() => ({ ids: tokenizer.encode(text), finishReason: "stop" }));
    },
  } as unknown as DevicePool;
  const adapter = { job: "mine", version: 5 };
  const model = { eosTokenIds: [tokenizer.eosId] } as unknown as RunInputs["model"];
  const answers = await answerSamples(
    pool,
    { ...heldOut, samples: Int32Array.of(0, 1, 2) },
    { ...inputs, model },
    2,
    adapter,
  );
  expect(answers).toEqual([
    { prompt: "Say hello", expected: "hello", base: "without", adapter: "with" },
    { prompt: "Say it back\nblue bird", expected: "blue bird", base: "without", adapter: "with" },
  ]);
  expect(asked.map((generation) => generation.adapter)).toEqual([undefined, adapter]);
  const longest = Math.max(...[0, 1].map((i) => splitSample({ tokens }, i).answerIds.length));
  expect(asked[0]?.options).toEqual({ maxNewTokens: 2 * longest + 8, eosTokenIds: [tokenizer.eosId] });
  await answerSamples(pool, heldOut, { ...inputs, model }, 1, adapter);
  expect(asked[2]?.options).toMatchObject({ maxNewTokens: 64 });
  await answerSamples(pool, heldOut, { ...inputs, model }, 0, adapter);
  expect(asked[4]?.options).toMatchObject({ maxNewTokens: 10 });
});

const layout = { places: [{ layer: 1, prompt: 0, gate: 4 }], gateLength: 1, promptLength: 2, length: 5 };
const badCell = (cell: number, samples: number[]) => ({
  cell,
  samples,
  count: 1,
  loss: Number.NaN,
  gradient: undefined,
});

/** A pool in which these samples have bad numbers. */
function poolWith(bad: readonly number[], jobs: unknown[] = []): DevicePool {
  const runStep = async (job: { step: number; cells: number[][] }) => {
    jobs.push(job);
    if (job.cells.flat().some((sample) => bad.includes(sample))) throw new StepRefusedError(job.step, []);
    if (job.cells.flat().includes(99)) throw new Error("the pool is closed");
  };
  return { runStep } as unknown as DevicePool;
}
const report = (badCells: ReturnType<typeof badCell>[], pool: DevicePool) =>
  reportBadNumbers(
    new StepRefusedError(6, badCells),
    { step: 6, labelledTokens: 20 } as never,
    { ...inputs, layout, train: source } as never,
    pool,
    { job: "mine", version: 3 },
  );

test("bad numbers are blamed on the samples that are bad by themselves", async () => {
  const jobs: unknown[] = [];
  const { reason, message } = await report([badCell(1, [0, 1])], poolWith([1], jobs));
  expect(reason).toBe("cell 1 (samples 0, 1): the loss is NaN");
  expect(message.split("\n  ")).toEqual([
    `Step 7 has numbers that cannot be used: ${reason}`,
    `cell 1, ${describeSample(source, 1, inputs)}`,
  ]);
  expect(jobs).toEqual(
    [0, 1].map((sample) => ({ step: 6, cells: [[sample]], scale: 1 / 20, job: "mine", version: 3 })),
  );
});

test("if each sample can be used by itself, that is said and all are shown", async () => {
  const { message } = await report([badCell(2, [0, 1])], poolWith([]));
  expect(message.split("\n  ").slice(1)).toEqual([
    "cell 2: each of its samples can be used by itself",
    `cell 2, ${describeSample(source, 0, inputs)}`,
    `cell 2, ${describeSample(source, 1, inputs)}`,
  ]);
});

test("three cells and three samples of each are shown, and eight numbers of a cell", async () => {
  const cells = [1, 2, 3, 4, 5].map((cell) => badCell(cell, [0, 1, 2, 0, 1, 2, 0, 1, 2]));
  const { reason, message } = await report(cells, poolWith([0, 1, 2]));
  expect(reason.match(/cell \d/g)).toEqual(["cell 1", "cell 2", "cell 3"]);
  expect(reason).toMatch(/; 2 more cells$/);
  expect(reason).toContain("cell 1 (samples 0, 1, 2, 0, 1, 2, 0, 1, …): ");
  expect(message.split("\n  ")).toHaveLength(1 + 3 * 3);
  const three = await report(
    cells.slice(0, 3).map((cell) => ({ ...cell, samples: cell.samples.slice(0, 8) })),
    poolWith([0]),
  );
  expect(three.reason).not.toMatch(/more cells|…/);
});

test("another error while samples are looked for is that of the run", async () => {
  await expect(report([badCell(1, [99])], poolWith([]))).rejects.toThrow("the pool is closed");
});
