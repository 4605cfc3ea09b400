/** What a pool says of a step besides its sum, and the checks of the sum itself. */
import { StepRefusedError } from "@zerogate/core";
import { clearSlot, createSlot, slotTotals } from "@zerogate/core/training";
import { expect, test } from "vitest";
import { adapterAt, cells, labelledTokens, only, open, openFaulty, setup, step } from "../test/faulty_pool.ts";
import { totalOf } from "../test/total.ts";
import { addLosses } from "./device_pool.ts";
import { checkStepSum, labelledTokensOf, type ShareSum } from "./step_sum.ts";

test("times: how long each worker computed, how long they waited on average, and how long adding up took", async () => {
  const pool = await open(2);
  await pool.runStep(step); // the first one compiles
  const begin = performance.now();
  const { perDevice, waitMs, reduceMs } = await pool.runStep({ ...step, cells: [cells.flat()] });
  const wallMs = performance.now() - begin;
  expect(perDevice.map((worker) => worker.cells).toSorted((a, b) => a - b)).toEqual([0, 1]);
  const computeMs = perDevice.reduce((sum, worker) => sum + worker.computeMs, 0);
  expect(computeMs).toBeGreaterThan(0);
  expect(Math.min(...perDevice.map((worker) => worker.computeMs))).toBe(0);
  // One of the two had nothing to do.
  expect(waitMs).toBeGreaterThanOrEqual(computeMs / 2 - 1);
  expect(reduceMs).toBeGreaterThan(0);
  expect(waitMs + computeMs / 2 + reduceMs).toBeLessThanOrEqual(wallMs + 1);
});

test("the sum of some cells has theirs only, and the next one nothing of it", async () => {
  const pool = await open(1);
  const onlyShare = ([share]: ShareSum[]) => share as ShareSum;
  const whole = totalOf(await pool.runStep(step)).sums;
  const of = async (numbers: number[]) => slotTotals(totalOf(onlyShare(await pool.addCells([{ step, numbers }]))));
  const [first, second] = [await of([0, 1, 2]), await of([3, 4, 5, 6])];
  expect(first.labelledTokens + second.labelledTokens).toBe(labelledTokens);
  expect(first.labelledTokens).toBe(labelledTokensOf({ cells: cells.slice(0, 3) }, setup.tokens.train));
  expect(totalOf(await pool.runStep(step)).sums).toEqual(whole);
  const losses = { set: "train", cells, adapter: adapterAt(1) };
  expect(await pool.evaluateCells(losses, [5, 2])).toEqual([
    await pool.evaluate({ ...losses, cells: [cells[5] ?? []] }),
    await pool.evaluate({ ...losses, cells: [cells[2] ?? []] }),
  ]);
});

test("bad cells of a share are named in the order of the step, in whatever order the cells were given", async () => {
  const faults = [0, 3, 8].map((sample) => ({ kind: "nan", sample, times: 9 }));
  const { faulty } = await openFaulty(2, faults);
  const [share] = await faulty.addCells([{ step, numbers: [6, 4, 1, 0] }]);
  expect(share?.badCells).toMatchObject([
    { cell: 0, samples: [0, 1, 2] },
    { cell: 1, samples: [3, 4] },
    { cell: 4, samples: [8, 9] },
  ]);
});

test("a step is refused if a cell is missing, tokens are, or numbers are bad", async () => {
  const pool = await open(1);
  const slot = totalOf(await pool.runStep(step));
  expect(() => checkStepSum(step, slot, [], labelledTokens)).not.toThrow();
  expect(() => checkStepSum(step, slot, [], labelledTokens + 1)).toThrow(
    /^Cannot take step 4: its sum does not add up\n\S/,
  );
  expect(() => checkStepSum({ ...step, cells: [...cells, [0]] }, slot, [], labelledTokens)).toThrow("does not add up");
  const bad = { count: 1, loss: Number.NaN, gradient: undefined, cell: 0, samples: [0] };
  expect(() => checkStepSum(step, slot, [bad], labelledTokens)).toThrow(StepRefusedError);
  const empty = createSlot({ parameters: only.layout.length, maxCells: 8 });
  clearSlot(empty);
  expect(() => checkStepSum(step, empty, [], labelledTokens)).toThrow("does not add up");
});

test("labelled tokens are those that are predicted: the first of a sample never is", () => {
  const tokens = {
    hash: "",
    ids: new Int32Array(7),
    offsets: Float64Array.of(0, 3, 7),
    target: Uint8Array.of(1, 0, 1, 1, 1, 0, 1),
  };
  expect([[[0]], [[1]], [[0], [1]], []].map((of) => labelledTokensOf({ cells: of }, tokens))).toEqual([1, 2, 3, 0]);
  for (const sample of [2, -1]) {
    expect(() => labelledTokensOf({ cells: [[sample]] }, tokens)).toThrow(
      `Cannot use sample ${sample}: the set has 2 samples`,
    );
  }
});

test("losses are added up by what they are", () => {
  const losses = [
    { lossSum: 1.5, labelledTokens: 2, exactSamples: 1 },
    { lossSum: 0.25, labelledTokens: 3, exactSamples: 4 },
  ];
  expect(addLosses(losses)).toEqual({ lossSum: 1.75, labelledTokens: 5, exactSamples: 5 });
  expect(addLosses([])).toEqual({ lossSum: 0, labelledTokens: 0, exactSamples: 0 });
});

test("an adapter counts as exact if every labelled token of a sample would be decoded", async () => {
  // Learnt by heart: a loss near 0 is not needed, only that greedy decoding says what the data says.
  const { ids, offsets, target } = setup.tokens.train;
  const said = new Int32Array(new SharedArrayBuffer(ids.byteLength));
  said.set(ids);
  const job = { adapter: adapterAt(1) };
  const pool = await open(1);
  for (let sample = 0; sample < 6; sample++) {
    const [begin = 0, end = 0] = [offsets[sample], offsets[sample + 1]];
    let answer = begin + 1;
    while (answer < end && target[answer] === 0) answer++;
    const prompts = [[...said.subarray(begin, answer)]];
    const [generated] = await pool.generateAll({ ...job, prompts, options: { maxNewTokens: end - answer } });
    said.set(generated?.ids ?? [], answer);
  }
  const tokens = { train: { ...setup.tokens.train, ids: said } };
  const own = await open(1, { setup: { ...setup, tokens } });
  const exact = async (samples: number[]) =>
    (await own.evaluate({ ...job, set: "train", cells: [samples] })).exactSamples;
  expect(await exact([0, 1, 2, 3, 4, 5])).toBe(6);
  const wrong = said.slice();
  const last = (offsets[1] ?? 0) - 1;
  wrong[last] = ((wrong[last] ?? 0) + 1) % 32;
  said.set(wrong);
  expect(await exact([0, 1, 2])).toBe(2);
  expect(await exact([0])).toBe(0);
});

test("work is refused by its name once the pool is closed", async () => {
  const pool = await open(1);
  await pool.close();
  const job = { adapter: adapterAt(1) };
  await expect(pool.generateAll({ ...job, prompts: [[1]], options: { maxNewTokens: 1 } })).rejects.toThrow(
    "Cannot run generation: the device pool is closed",
  );
  await expect(pool.evaluate({ ...job, set: "train", cells })).rejects.toThrow("Cannot run evaluation on train: ");
  await expect(pool.runStep(step)).rejects.toThrow("Cannot run step 4: ");
});
