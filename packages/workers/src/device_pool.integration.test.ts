import type { Worker } from "node:worker_threads";
import { InputError, StepRefusedError } from "@zerogate/core";
import { gradientSum, randomBits, readFixedPoint, slotTotals } from "@zerogate/core/training";
import { afterEach, expect, test } from "vitest";
import {
  adapterAt,
  bitsOf,
  cells,
  labelledTokens,
  only,
  open,
  openFaulty,
  setup,
  step,
  until,
} from "../test/faulty_pool.ts";
import { markOf, tinyJob, tinySetup } from "../test/tiny_setup.ts";
import { totalOf } from "../test/total.ts";
import type { DeviceEvent } from "./device_event.ts";
import { openDevices } from "./device_pool.ts";

afterEach(() => {
  process.removeAllListeners("worker");
});

/** All threads that are started from here on, by thread id. */
function collectThreads(): Map<number, Worker> {
  const threads = new Map<number, Worker>();
  process.on("worker", (worker: Worker) => threads.set(worker.threadId, worker));
  return threads;
}

const isGivenUp = (event: DeviceEvent) => event.type === "worker-died" && !event.restarts;

/** What every run below must reproduce: one worker, nothing failing. */
const expected = await openDevices({ workers: 1, setup, maxCells: 8 }).then(async (reference) => {
  const sum = await reference.runStep(step);
  const slot = totalOf(sum);
  const { perDevice } = sum;
  const result = { bits: slot.sums, totals: slotTotals(slot), perDevice };
  await reference.close();
  return result;
});

test("one worker computes all cells, and its sum holds the loss and gradient of all labelled tokens", () => {
  expect(expected.perDevice.map((worker) => worker.cells)).toEqual([cells.length]);
  expect(expected.totals.labelledTokens).toBe(labelledTokens);
  // An untrained model is near the uniform loss.
  expect(expected.totals.lossSum / labelledTokens).toBeGreaterThan(0.5 * Math.log(32));
  expect(expected.bits.filter((word) => word !== 0).length).toBeGreaterThan(only.layout.length);
});

test.each([2, 3])("%i workers give the same bits as one, step after step [E1]", async (workers) => {
  const several = await open(workers);
  expect(several.engineName).toBe("reference");
  for (let i = 0; i < 3; i++) {
    const found = await several.runStep(step);
    const { perDevice, waitMs, reduceMs } = found;
    expect(totalOf(found).sums).toEqual(expected.bits);
    expect(perDevice.reduce((sum, worker) => sum + worker.cells, 0)).toBe(cells.length);
    expect(Math.min(waitMs, reduceMs)).toBeGreaterThanOrEqual(0);
  }
});

test.each([1, 2, 3])("cells in another order give the same sum, draw %i", async (draw) => {
  const order = cells.map((cell, i) => ({ cell, key: randomBits(draw, i) })).toSorted((a, b) => a.key - b.key);
  const slot = totalOf(await (await open(3)).runStep({ ...step, cells: order.map(({ cell }) => cell) }));
  expect(slot.sums).toEqual(expected.bits);
});

test("each labelled token weighs the same, in a small cell and in a large one", async () => {
  const gradientOf = async (dealt: readonly (readonly number[])[]) => {
    const slot = totalOf(await (await open(2)).runStep({ ...step, cells: dealt }));
    const gradient = new Float32Array(only.layout.length);
    readFixedPoint(gradientSum(slot), gradient);
    return gradient;
  };
  const one = await gradientOf([cells.flat()]);
  const uneven = await gradientOf([cells.flat().slice(0, 11), [11]]);
  const largest = Math.max(...one.map(Math.abs));
  expect(Math.max(...one.map((g, i) => Math.abs(g - (uneven[i] ?? 0))))).toBeLessThan(1e-6 * largest);
});

test("new parameters are read when the version changes, and only then", async () => {
  const job = tinyJob(only.id);
  const one = await open(1, { setup: tinySetup([job]) });
  const before = await bitsOf(one);
  job.params.fill(0.01);
  expect(await bitsOf(one)).toEqual(before);
  expect(totalOf(await one.runStep({ ...step, version: 2 })).sums).not.toEqual(before);
});

test.each(["async-throw", "exit"] as const)(
  "a worker lost by %s is named, and the step has the same bits",
  async (kind) => {
    const { faulty, events } = await openFaulty(2, [{ kind, sample: 4 }]);
    expect(await bitsOf(faulty)).toEqual(expected.bits);
    const died = events.find((event) => event.type === "worker-died");
    const reason = kind === "exit" ? "worker exited with code: 3" : "outside of a call";
    expect(died).toMatchObject({
      reason,
      lastOperation: expect.stringMatching(/^step 4 cell 1, \w+ \(operation \d+\)$/),
      restarts: true,
    });
    const redone = events.find((event) => event.type === "cells-redone");
    expect(redone).toMatchObject({ device: died?.device, of: "step 4", cells: expect.arrayContaining([1]) });
    expect(await bitsOf(faulty)).toEqual(expected.bits);
  },
);

test("a worker that is terminated from outside in the middle of a cell changes no bit", async () => {
  const threads = collectThreads();
  const { faulty, events, hungThread } = await openFaulty(2, [{ kind: "hang", sample: 6 }]);
  const bits = bitsOf(faulty);
  await until(() => hungThread() !== 0);
  await threads.get(hungThread())?.terminate();
  expect(await bits).toEqual(expected.bits);
  expect(events.map(({ type }) => type)).toContain("worker-died");
});

test("cells that a worker had finished before it died are computed again", async () => {
  // Worker 0 is to die late, while worker 1 hangs on another cell and keeps the step open until it is lost itself.
  const threads = collectThreads();
  const { faulty, events, hungThread, passes, releaseLateThrow } = await openFaulty(2, [
    { kind: "hang", sample: 3 },
    { kind: "late-throw", sample: 0 },
  ]);
  const bits = bitsOf(faulty);
  await until(() => passes() === cells.length - 1);
  releaseLateThrow();
  await until(() => events.some(({ type }) => type === "cells-redone"));
  expect(events.find(({ type }) => type === "cells-redone")).toMatchObject({ cells: [0, 2, 3, 4, 5, 6] });
  await threads.get(hungThread())?.terminate();
  expect(await bits).toEqual(expected.bits);
});

test("a single worker that dies is started again and finishes the step", async () => {
  const { faulty, events } = await openFaulty(1, [{ kind: "exit", sample: 6 }]);
  expect(await bitsOf(faulty)).toEqual(expected.bits);
  expect(events.map(({ type }) => type)).toEqual(["worker-started", "worker-died", "cells-redone", "worker-started"]);
  expect(events[2]).toMatchObject({ cells: [0, 1, 2, 3] });
});

test("a worker that dies between two steps is started again", async () => {
  const { faulty, events, releaseLateThrow } = await openFaulty(1, [{ kind: "late-throw", sample: 11 }]);
  expect(await bitsOf(faulty)).toEqual(expected.bits);
  releaseLateThrow();
  await until(() => events.length > 1);
  expect(events[1]).toMatchObject({
    type: "worker-died",
    reason: "late",
    lastOperation: expect.stringMatching(/^step 4 cell 6, read /),
  });
  expect(await bitsOf(faulty)).toEqual(expected.bits);
});

test("a cell that kills two workers is named with its samples, and the pool goes on with other steps", async () => {
  const { faulty } = await openFaulty(2, [{ kind: "exit", sample: 9, times: 2 }]);
  await expect(faulty.runStep(step)).rejects.toThrow(
    /^Cannot finish step 4: cell 4 \(samples 8, 9\) ended two workers, last by: worker exited with code: 3, at step 4 cell 4, embed/,
  );
  expect(await bitsOf(faulty)).toEqual(expected.bits);
});

test("a worker that cannot be started again is given up, and the others finish", async () => {
  const { faulty, events } = await openFaulty(2, [{ kind: "exit", sample: 5 }], { maxLoads: 2 });
  expect(await bitsOf(faulty)).toEqual(expected.bits);
  await until(() => events.some(isGivenUp));
  expect(events.find(isGivenUp)).toMatchObject({
    reason: "worker exited with code: 4",
    lastOperation: "load, createEngine (operation 1)",
  });
  expect(await bitsOf(faulty)).toEqual(expected.bits);
});

test("a step ends with an error when no worker is left", async () => {
  const faults = [0, 3].map((sample) => ({ kind: "exit" as const, sample }));
  const { faulty, events } = await openFaulty(2, faults, { maxLoads: 2 });
  await expect(faulty.runStep(step)).rejects.toThrow("Cannot finish step 4: all workers died, 7 of 7 tasks are left");
  expect(events.filter(isGivenUp).length).toBe(2);
  await expect(faulty.runStep(step)).rejects.toThrow("all workers died");
});

test("a worker that finishes cells but keeps dying is given up instead of repeating them for ever", async () => {
  const threads = collectThreads();
  const { faulty, events, hungThread, passes, releaseLateThrow } = await openFaulty(2, [
    { kind: "hang", sample: 3 },
    { kind: "late-throw", sample: 0, times: 3 },
  ]);
  const bits = bitsOf(faulty);
  for (const round of [1, 2, 3]) {
    await until(() => passes() === round * (cells.length - 1));
    releaseLateThrow();
    await until(() => events.filter(({ type }) => type === "worker-died").length === round);
    releaseLateThrow(0);
  }
  expect(events.filter(isGivenUp)).toMatchObject([{ device: 0, reason: "late" }]);
  await threads.get(hungThread())?.terminate();
  expect(await bits).toEqual(expected.bits);
});

test("what a cell throws is tried on another worker, then thrown as it was", async () => {
  const once = await openFaulty(2, [{ kind: "throw", sample: 5 }]);
  expect(await bitsOf(once.faulty)).toEqual(expected.bits);
  await once.faulty.close();
  const { faulty, events } = await openFaulty(2, [{ kind: "throw", sample: 5, times: 2 }]);
  await expect(faulty.runStep(step)).rejects.toMatchObject({ name: "SyntaxError", message: "injected" });
  expect(events.slice(2)).toMatchObject([{ type: "cell-failed", of: "step 4", cell: 2, reason: "injected" }]);
  expect(await bitsOf(faulty)).toEqual(expected.bits);
});

test("an InputError keeps its class and its list of problems on the way from the thread", async () => {
  const { faulty } = await openFaulty(1, [{ kind: "input-error", sample: 5, times: 2 }]);
  const thrown = await faulty.runStep(step).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(InputError);
  expect(thrown).toMatchObject({ problems: ["injected one", "injected two"] });
});

test("numbers that are not finite refuse the step, naming cell, samples and parameter", async () => {
  const { faulty } = await openFaulty(2, [{ kind: "nan", sample: 8 }]);
  const thrown = await faulty.runStep(step).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(StepRefusedError);
  expect(thrown).toMatchObject({ step: 4, badCells: [{ cell: 4, samples: [8, 9], gradient: { value: Number.NaN } }] });
  expect(await bitsOf(faulty)).toEqual(expected.bits);
});

test("evaluation gives the same loss for any number of workers, and survives one", async () => {
  const job = { set: "train", cells, adapter: adapterAt(1) };
  const one = await (await open(1)).evaluate(job);
  expect(one.labelledTokens).toBe(labelledTokens);
  expect(one.lossSum).toBeCloseTo(expected.totals.lossSum, 6);
  const { faulty } = await openFaulty(3, [{ kind: "exit", sample: 4 }]);
  expect(await faulty.evaluate(job)).toEqual(one);
  const base = await faulty.evaluate({ ...job, adapter: undefined });
  expect(base.lossSum).not.toBe(one.lossSum);
  await expect(faulty.evaluate({ ...job, set: "test" })).rejects.toThrow(
    'Cannot evaluate on "test": there is train, empty',
  );
});

test("generation gives the same tokens for any number of workers, and survives one", async () => {
  const prompts = [
    [1, markOf(0)],
    [1, markOf(1), 5, 6],
    [1, markOf(2)],
    [1, 3, 4],
  ];
  const job = { prompts, adapter: adapterAt(1), options: { maxNewTokens: 6 } };
  const alone = await (await open(1)).generateAll(job);
  expect(alone.length).toBe(4);
  for (const { ids, finishReason } of alone) expect(ids.length === 6).toBe(finishReason === "length");
  const { faulty } = await openFaulty(2, [{ kind: "exit", sample: 1 }]);
  expect(await faulty.generateAll(job)).toEqual(alone);
  await expect(faulty.generateAll({ ...job, prompts: [[]] })).rejects.toBeInstanceOf(InputError);
  const deadly = await openFaulty(2, [{ kind: "exit", sample: 1, times: 2 }]);
  await expect(deadly.faulty.generateAll(job)).rejects.toMatchObject({ of: "generation", cell: 1, samples: [] });
});

test("misuse is refused before anything is sent", async () => {
  await expect(openDevices({ workers: 0, setup, maxCells: 8 })).rejects.toThrow(
    "Cannot open devices: workers is 0, a whole number from 1 is needed",
  );
  const params = new Float32Array(only.layout.length);
  await expect(openDevices({ workers: 1, setup: tinySetup([{ ...only, params }]), maxCells: 8 })).rejects.toThrow(
    "over a SharedArrayBuffer are needed",
  );
  if (!("bytes" in setup.weights)) throw new Error("the setup's weights are in memory");
  const weights = { ...setup.weights, bytes: new ArrayBuffer(setup.weights.bytes.byteLength) };
  await expect(openDevices({ workers: 1, setup: { ...setup, weights }, maxCells: 8 })).rejects.toThrow(
    "the weights lie in memory of one thread, load them with the option allocate: sharedMemory",
  );
  const one = await open(1);
  await expect(one.runStep({ ...step, cells: Array.from({ length: 9 }, () => [0]) })).rejects.toThrow(
    "Cannot run step 4: it has 9 cells, the pool was opened for 8",
  );
  await expect(one.runStep({ ...step, cells: [[12]] })).rejects.toThrow("Cannot use sample 12: the set has 12 samples");
  const running = one.runStep(step);
  await expect(one.runStep({ ...step, step: 5 })).rejects.toThrow(
    "Cannot run step 5: step 4 is not finished, await it",
  );
  await running;
});

test("closing in the middle of a step ends it, and a closed pool refuses work", async () => {
  const { faulty } = await openFaulty(2, [{ kind: "hang", sample: 0 }]);
  const running = faulty.runStep(step);
  setTimeout(() => void faulty.close(), 50);
  await expect(running).rejects.toThrow("Cannot finish step 4: the device pool was closed");
  await expect(faulty.runStep(step)).rejects.toThrow("Cannot run step 4: the device pool is closed");
});
