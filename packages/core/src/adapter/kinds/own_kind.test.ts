/** A kind that only this test knows goes all the way, from its first numbers to the mean of two adapters. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { numbersOf, scaledLayout, scaledPrompts, scaledRows } from "../../../test/scaled_prompts.ts";
import { labelled, tinyModel, tinyTokens } from "../../../test/tiny_model.ts";
import { packCell } from "../../cell/tokens.ts";
import { InputError } from "../../errors.ts";
import { cellGradient, cellGradients, cellLosses, sum } from "../../model/gradient.ts";
import { tokenLogits } from "../../model/logits.ts";
import { weightOf } from "../../model/weights.ts";
import { partFiles, readPartFiles } from "../../node/part_files.ts";
import { adamWStep, createAdamWState, updateRanges } from "../../optim/adamw.ts";
import { clipByGlobalNorm, globalNorm } from "../../optim/clip.ts";
import { readFixedPoint } from "../../sum/fixed_point.ts";
import { addCell, createSlot, gradientSum, limitRanges } from "../../sum/slot.ts";
import { partDistances, weightedSum } from "../compare.ts";
import { backwardLayers } from "../layout.ts";
import { groupCount, initParameters, partAt, trainedLayers } from "../parameters.ts";
import { adapterLayout } from "./adaption_prompt.ts";
import type { AdapterState } from "./kind.ts";

const { model, config, image } = tinyModel();
const cell = packCell(tinyTokens(config, [7, 2, 5]), [0, 1, 2]);
const scale = 1 / labelled(cell);
const shape = { promptLength: 3, adaptedLayers: 2, gateSharing: "per-head", gateActivation: "none" } as const;
const layout = scaledLayout(shape, config);
const { table } = layout;
const [D, length] = [config.hiddenSize, layout.length];

const baseTensor = (name: string): Float32Array => {
  const tensor = weightOf(image, name);
  if (!tensor) throw new RangeError(`Cannot find ${name}`);
  return new Float32Array(tensor.bytes.slice().buffer);
};
const fresh = (seed = 5): Float32Array => initParameters(table, seed, 1, baseTensor);
/** As if trained: gates are open, and nothing is 1 or 0 any more. */
function opened(seed = 5): AdapterState {
  const params = fresh(seed).map((value, i) => value * (1 + 0.1 * Math.sin(i)) + 0.05 * Math.cos(3 * i + seed));
  return { layout, params, kind: scaledPrompts };
}

const scratch = await mkdtemp(join(tmpdir(), "zerogate-own-kind-"));
afterAll(() => rm(scratch, { recursive: true }));

test("its table has parts of two groups in three files, one of them without a layer", () => {
  expect(table.map(({ name, offset, group, file }) => [name, offset, group, file])).toEqual([
    ["layers.1.prompt", 0, 0, "adapter_model.safetensors"],
    ["layers.1.gate", 3 * D, 0, "adapter_model.safetensors"],
    ["layers.2.prompt", 3 * D + 4, 0, "adapter_model.safetensors"],
    ["layers.2.gate", 6 * D + 4, 0, "adapter_model.safetensors"],
    ["layers.1.scale", 6 * D + 8, 1, "scales.safetensors"],
    ["layers.2.scale", 7 * D + 8, 1, "scales.safetensors"],
    ["rows", 8 * D + 8, 1, "rows.safetensors"],
  ]);
  expect([length, groupCount(table), trainedLayers(table)]).toEqual([9 * D + 8, 2, [1, 2]]);
  expect(backwardLayers(layout)).toBe(2);
  expect(backwardLayers({ ...layout, table: table.slice(-1) })).toBe(0);
  expect([0, 3 * D, 8 * D + 7, 8 * D + 8].map((i) => partAt(table, i).name)).toEqual([
    "layers.1.prompt",
    "layers.1.gate",
    "layers.2.scale",
    "rows",
  ]);
});

test("every part starts as its kind says, prompts as those of an adaption prompt", () => {
  const params = fresh();
  const plain = adapterLayout(shape, config);
  const theirs = initParameters(plain.table, 5);
  for (const name of ["layers.1.prompt", "layers.2.prompt", "layers.1.gate"]) {
    expect(numbersOf(layout, name, params)).toEqual(numbersOf(plain, name, theirs));
  }
  expect(numbersOf(layout, "layers.2.scale", params)).toEqual(new Float32Array(D).fill(1));
  expect(numbersOf(layout, "rows", params)).toEqual(baseTensor("finalNorm"));
  expect(() => initParameters(table, 5)).toThrow("Cannot start rows: it is finalNorm of a base, give the base");
});

describe("in a pass", () => {
  test("zero gates are the base, bit for bit, and open ones the adaption prompt of the scaled rows", async () => {
    const state = { layout, params: fresh(), kind: scaledPrompts };
    expect(await tokenLogits(model, state, cell)).toEqual(await tokenLogits(model, undefined, cell));
    const own = opened();
    const plain = adapterLayout(shape, config);
    const params = new Float32Array(plain.length);
    for (const layer of [1, 2]) {
      numbersOf(plain, `layers.${layer}.prompt`, params).set(scaledRows(own, layer));
      numbersOf(plain, `layers.${layer}.gate`, params).set(numbersOf(layout, `layers.${layer}.gate`, own.params));
    }
    const theirs = await tokenLogits(model, { layout: plain, params }, cell);
    expect(await tokenLogits(model, own, cell)).toEqual(theirs);
    expect(theirs).not.toEqual(await tokenLogits(model, undefined, cell));
  });

  test("its gradient is the slope of the loss, for the parts of every sort", async () => {
    const own = opened();
    const { gradient } = await cellGradient(model, own, cell, 1);
    const lossAt = async (direction: Float32Array, h: number) => {
      const params = own.params.map((p, i) => p + h * direction[i]);
      return sum(await cellLosses(model, { ...own, params }, cell));
    };
    for (const name of ["layers.1.prompt", "layers.2.gate", "layers.1.scale", "rows"]) {
      const direction = new Float32Array(length);
      numbersOf(layout, name, direction).set(numbersOf(layout, name, gradient));
      const norm = globalNorm(direction);
      for (const i of direction.keys()) direction[i] /= norm;
      const slope = async (h: number) => ((await lossAt(direction, h)) - (await lossAt(direction, -h))) / (2 * h);
      const [coarse, fine] = [await slope(0.04), await slope(0.02)];
      // Richardson's step; what is left is the rounding of the forward pass.
      expect(Math.abs((4 * fine - coarse) / 3 / norm - 1), name).toBeLessThan(2e-3);
    }
  });

  test("it trains beside an adaption prompt in one pass, each with the bits of its own", async () => {
    const plain = adapterLayout({ ...shape, promptLength: 2, adaptedLayers: 3 }, config);
    const other = { layout: plain, params: initParameters(plain.table, 9).map((value) => value || 0.5) };
    const tasks = [other, opened()].map((adapter) => ({ adapter, cell, scale }));
    const alone = [];
    for (const task of tasks) alone.push(await cellGradient(model, task.adapter, cell, scale));
    expect(await cellGradients(model, tasks)).toEqual(alone);
  });

  test("without its kind beside it, its name is refused", async () => {
    const nameless = { layout, params: fresh() };
    await expect(tokenLogits(model, nameless, cell)).rejects.toThrow(
      'Cannot use an adapter of the kind "scaled_prompts": known are adaption_prompt',
    );
  });
});

describe("in a step", () => {
  test("a number at its part's own limit cannot be added, while another part's still can", () => {
    const slot = createSlot({ parameters: length, maxCells: 2 });
    const gradient = new Float32Array(length).fill(4);
    const sumOf = { cell: 0, gradient, lossSum: 1, labelledTokens: 1 };
    const bad = addCell(slot, sumOf, undefined, limitRanges(table));
    expect(bad).toEqual({ count: 3 * D, loss: undefined, gradient: { parameter: length - 1, value: 4 } });
    const added = new Float32Array(length);
    readFixedPoint(gradientSum(slot), added);
    expect(added).toEqual(gradient.fill(0, 6 * D + 8));
    expect(limitRanges(table)).toEqual([
      { from: 0, to: 6 * D + 8, limit: 512 },
      { from: 6 * D + 8, to: length, limit: 4 },
    ]);
  });

  test("a group without a cell keeps numbers, moments and count; the others count on", async () => {
    const own = opened();
    const options = { beta1: 0.9, beta2: 0.95, eps: 1e-8, ranges: updateRanges(table, "all", 0.1) };
    const ofPrompts = { ...options, ranges: options.ranges.filter(({ group }) => group === 0) };
    const state = createAdamWState(length, groupCount(table));
    const { gradient } = await cellGradient(model, own, cell, scale);
    adamWStep(own.params, gradient, state, 0.01, options);
    const [before, moments] = [own.params.slice(), { m: state.m.slice(), v: state.v.slice() }];
    adamWStep(own.params, gradient, state, 0.01, ofPrompts);
    expect(state.t).toEqual([2, 1]);
    for (const name of ["layers.1.scale", "layers.2.scale", "rows"]) {
      expect(numbersOf(layout, name, own.params)).toEqual(numbersOf(layout, name, before));
      expect(numbersOf(layout, name, state.m)).toEqual(numbersOf(layout, name, moments.m));
      expect(numbersOf(layout, name, state.v)).toEqual(numbersOf(layout, name, moments.v));
    }
    expect(numbersOf(layout, "layers.1.gate", own.params)).not.toEqual(numbersOf(layout, "layers.1.gate", before));
    const groupless = createAdamWState(length);
    expect(() => adamWStep(own.params, gradient, groupless, 0.01, options)).toThrow(
      "Cannot update group 1: 1 groups are counted",
    );
  });

  test("its vectors do not decay under any policy and move at half the rate", () => {
    expect(updateRanges(table, "all", 0.1)).toEqual([
      { from: 0, to: 6 * D + 8, weightDecay: 0.1, learningRateFactor: 1, group: 0 },
      { from: 6 * D + 8, to: length, weightDecay: 0, learningRateFactor: 0.5, group: 1 },
    ]);
    const still = fresh();
    const options = { beta1: 0.9, beta2: 0.95, eps: 0, ranges: updateRanges(table, "none", 0) };
    adamWStep(still, new Float32Array(length).fill(1e-3), createAdamWState(length, 2), 0.25, options);
    const start = fresh();
    // AdamW's first step is the learning rate itself.
    expect(start[0] - still[0]).toBeCloseTo(0.25, 5);
    expect(start[length - 1] - still[length - 1]).toBeCloseTo(0.125, 5);
  });

  test("clipped steps on all of its parts lower the loss", async () => {
    const own = { ...opened(), params: opened().params.slice() };
    const state = createAdamWState(length, 2);
    const options = { beta1: 0.9, beta2: 0.95, eps: 1e-8, ranges: updateRanges(table, "original", 0.01) };
    const start = own.params.slice();
    const losses: number[] = [];
    for (let step = 0; step < 5; step++) {
      const { lossSum, gradient } = await cellGradient(model, own, cell, scale);
      losses.push(lossSum);
      const norm = clipByGlobalNorm(gradient, 0.1);
      expect(norm).toBeGreaterThan(0.1);
      expect(globalNorm(gradient)).toBeCloseTo(0.1, 5);
      adamWStep(own.params, gradient, state, 0.02, options);
    }
    expect(losses.toSorted((a, b) => b - a)).toEqual(losses);
    expect(state.t).toEqual([5, 5]);
    for (const { part, max } of partDistances(table, start, own.params)) expect(max, part.name).toBeGreaterThan(0);
  });
});

describe("in files", () => {
  test("each part is in its own file and comes back as it was", async () => {
    const { params } = opened();
    const folder = await saved("whole", params);
    expect((await readdir(folder)).toSorted()).toEqual([
      "adapter_model.safetensors",
      "rows.safetensors",
      "scales.safetensors",
    ]);
    expect(await readPartFiles(folder, table)).toEqual(params);
  });

  test("what is missing, surplus, misshaped or not finite is named with its file", async () => {
    const { params } = opened();
    const folder = await saved("broken", params);
    await rm(join(folder, "rows.safetensors"));
    const deeper = scaledLayout({ ...shape, adaptedLayers: 3 }, config);
    const files = partFiles(deeper.table, initParameters(deeper.table, 1, 1, baseTensor));
    await writeFile(join(folder, "scales.safetensors"), files.get("scales.safetensors") ?? "");
    expect(await problems(() => readPartFiles(folder, table))).toEqual([
      'scales.safetensors: "layers.0.scale.weight" is not part of this adapter',
      "rows.safetensors is missing",
    ]);
    expect(await problems(() => readPartFiles(folder, deeper.table))).toEqual([
      "adapter_model.safetensors: prompts.0 is missing",
      "adapter_model.safetensors: gates.0 is missing",
      "rows.safetensors is missing",
    ]);
    const bad = params.with(length - 1, Number.NaN);
    expect(await problems(async () => partFiles(table, bad))).toEqual([
      "1 numbers of rows.weight are not finite in f32, needed are finite ones",
    ]);
  });

  async function saved(name: string, params: Float32Array): Promise<string> {
    const folder = await mkdtemp(join(scratch, name));
    for (const [file, bytes] of partFiles(table, params)) await writeFile(join(folder, file), bytes);
    return folder;
  }

  async function problems(work: () => Promise<unknown>): Promise<readonly string[]> {
    try {
      await work();
    } catch (error) {
      if (error instanceof InputError) return error.problems;
      throw error;
    }
    return [];
  }
});

test("two of them are compared part by part, and their mean lies between them", () => {
  const [a, b] = [opened(1).params, opened(2).params];
  const last = partDistances(table, a, b.slice().fill(0, 0, length - 1)).at(-1);
  expect(last?.part.name).toBe("rows");
  const expected = a.subarray(length - D).map((value, i) => Math.abs(value - (i === D - 1 ? b[length - 1] : 0)));
  expect(last?.max).toBe(Math.max(...expected));
  expect(last?.mean).toBeCloseTo(expected.reduce((total, x) => total + x, 0) / D, 6);
  expect(partDistances(table, a, a).every(({ max, mean }) => max === 0 && mean === 0)).toBe(true);
  const mean = weightedSum([
    { params: a, weight: 0.25 },
    { params: b, weight: 0.75 },
  ]);
  expect(mean).toEqual(a.map((value, i) => Math.fround(0.25 * value + 0.75 * b[i])));
});
