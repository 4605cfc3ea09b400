/** Images go to workers with the samples of their sets, and with prompts, into threads and processes. */
import { type Cell, cellGradient, createModel, createReferenceEngine, generate, packCell } from "@zerogate/core";
import { gradientSum, normal, readFixedPoint, slotTotals } from "@zerogate/core/training";
import { describe, expect, test } from "vitest";
import { cells, labelledTokens, open, tinyFolder } from "../test/faulty_pool.ts";
import { markOf, tinyJob, tinySetup } from "../test/tiny_setup.ts";
import { totalOf } from "../test/total.ts";
import type { DeviceSetup } from "./device_api.ts";
import type { DevicePoolOptions } from "./device_pool.ts";

const size = 5;
const vision = { fusion: "global", featureSize: size, projectionSize: 4, missingImage: "none" } as const;

function seeingSetup() {
  const job = tinyJob("seeing", { vision });
  for (const [i, value] of job.params.entries()) job.params[i] = value === 0 ? 2 * normal(4, 1, i) : value;
  const values = new Float32Array(new SharedArrayBuffer(4 * 3 * size));
  values.set(Array.from({ length: 3 * size }, (_, i) => normal(4, 2, i)));
  const setup = tinySetup([job]);
  const rowOf = Int32Array.from({ length: 12 }, (_, sample) => (sample % 4) - 1); // every fourth has none
  const train = { ...setup.tokens.train, images: { rowOf, rows: { values, size } } };
  return { job, values, setup: { ...setup, tokens: { ...setup.tokens, train } } };
}

const step = { job: "seeing", version: 1, step: 4, cells, scale: 1 / labelledTokens };
const containers: { title: string; workers: number; options: () => Partial<DevicePoolOptions> }[] = [
  { title: "one thread", workers: 1, options: () => ({}) },
  { title: "three threads", workers: 3, options: () => ({}) },
  { title: "two processes", workers: 2, options: () => ({ isolate: {} }) },
];

function modelOf({ setup }: ReturnType<typeof seeingSetup>) {
  if (!("bytes" in setup.weights)) throw new Error("the setup's weights are in memory");
  return createModel(createReferenceEngine(), setup.config, setup.weights);
}

describe.each(containers)("$title", ({ workers, options }) => {
  const start = (own: DeviceSetup) => {
    const { isolate } = options();
    return open(workers, { setup: { ...own, ...(isolate && { weights: tinyFolder() }) }, ...options() });
  };

  test("a step over images has the gradient of its cells, the same bits for any workers [V9]", async () => {
    const own = seeingSetup();
    const model = modelOf(own);
    const adapter = own.job;
    let lossSum = 0;
    const expected = new Float64Array(adapter.layout.length);
    for (const samples of cells) {
      const cell: Cell = packCell(own.setup.tokens.train, samples);
      const found = await cellGradient(model, adapter, cell, step.scale);
      lossSum += found.lossSum;
      for (const [i, value] of found.gradient.entries()) expected[i] = (expected[i] ?? 0) + value;
    }
    const pool = await start(own.setup);
    const slot = totalOf(await pool.runStep(step));
    const gradient = new Float32Array(adapter.layout.length);
    readFixedPoint(gradientSum(slot), gradient);
    expect(slotTotals(slot).lossSum).toBe(lossSum);
    for (const [i, value] of gradient.entries()) expect(Math.abs(value - (expected[i] ?? 0))).toBeLessThan(1e-7);
    const projection = adapter.layout.table.find(({ name }) => name === "proj.fc1.weight");
    expect(gradient.subarray(projection?.offset).some((value) => value !== 0)).toBe(true);
    const blind = { ...own.setup, tokens: tinySetup().tokens };
    const text = totalOf(await (await start(blind)).runStep(step));
    expect(slotTotals(text).lossSum).not.toBe(slotTotals(slot).lossSum);
  });

  test("a prompt is answered about its own image", async () => {
    const own = seeingSetup();
    const prompts = [markOf(0), markOf(0), markOf(0)].map((mark) => [1, mark]);
    const images = [own.values.slice(0, size), undefined, own.values.slice(size, 2 * size)];
    const generation = { prompts, images, adapter: { job: "seeing", version: 1 }, options: { maxNewTokens: 8 } };
    const answers = await (await start(own.setup)).generateAll(generation);
    for (const [i, { ids }] of answers.entries()) {
      const alone: number[] = [];
      const asked = { maxNewTokens: 8, image: images[i] };
      for await (const id of generate(modelOf(own), own.job, prompts[i] ?? [], asked)) alone.push(id);
      expect(ids).toEqual(alone);
    }
    expect(new Set(answers.map(({ ids }) => String(ids))).size).toBeGreaterThan(1);
  });
});
