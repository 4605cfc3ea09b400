/** Several adapters on one base: each is trained, evaluated and asked as if it were alone in its pool. */
import { existsSync } from "node:fs";
import { StepRefusedError } from "@zerogate/core";
import type { EngineDescription } from "@zerogate/core/engine";
import { describe, expect, test } from "vitest";
import { cells, labelledTokens, open, openFaulty, tinyFolder } from "../test/faulty_pool.ts";
import { markOf, tinyJob, tinySetup } from "../test/tiny_setup.ts";
import { totalOf } from "../test/total.ts";
import type { DeviceJob, EngineModule } from "./device_api.ts";
import type { DevicePool, DevicePoolOptions } from "./device_pool.ts";
import { referenceEngine } from "./reference_engine.ts";
import type { Step, StepSum } from "./step_sum.ts";

/** Two shapes that share nothing: prompts, layers, gates and lengths differ. */
const newJobs = () => ({
  a: tinyJob("a"),
  b: tinyJob("b", { promptLength: 5, adaptedLayers: 3, gateSharing: "scalar", gateActivation: "none" }, 7),
});
const stepOfA: Step = { job: "a", version: 1, step: 4, cells, scale: 1 / labelledTokens };
/** Other cells of the same data, and another step count. */
const stepOfB: Step = { job: "b", version: 1, step: 9, cells: [[11, 0], [3, 4, 5], [7], [1]], scale: 1 / 19 };

const bitsOf = (sum: StepSum) => totalOf(sum).sums;
const settled = (results: readonly PromiseSettledResult<StepSum>[]) =>
  results.map((result) => (result.status === "fulfilled" ? bitsOf(result.value) : result.reason));

async function alone(job: DeviceJob, step: Step, engine: EngineModule): Promise<Int32Array> {
  const pool = await open(1, { setup: { ...tinySetup([job]), engine } });
  return bitsOf(await pool.runStep(step));
}

const cpuModule = new URL("../../engine-cpu/dist/index.js", import.meta.url);
const noCpu = existsSync(cpuModule)
  ? await missingParts(cpuModule.href)
  : "needs a build, workers cannot load TypeScript";
const engines = [
  { name: "reference", engine: referenceEngine(), isAbsent: false },
  {
    name: noCpu === "" ? "cpu" : `cpu (skipped: ${noCpu})`,
    engine: { module: cpuModule.href, options: { threads: 1 } },
    isAbsent: noCpu !== "",
  },
];
const containers: { container: string; options: () => Partial<DevicePoolOptions> }[] = [
  { container: "threads", options: () => ({}) },
  { container: "processes", options: () => ({ isolate: {} }) },
];

describe.each(engines)("engine $name", ({ engine, isAbsent }) => {
  test.skipIf(isAbsent).each(containers)(
    "steps of two jobs in one call have the bits of their own pools, and parameters of one change alone, in $container",
    async ({ options }) => {
      const { a, b } = newJobs();
      const { isolate } = options();
      const own = { ...tinySetup([a, b]), engine, ...(isolate && { weights: tinyFolder() }) };
      const pool = await open(2, { setup: own, ...options() });
      const [first, other] = [await alone(a, stepOfA, engine), await alone(b, stepOfB, engine)];
      expect(a.layout.length).not.toBe(b.layout.length);
      expect(settled(await pool.runSteps([stepOfA, stepOfB]))).toEqual([first, other]);
      // In the other order, and each by itself, nothing of the other is left in a sum.
      expect(settled(await pool.runSteps([stepOfB, stepOfA]))).toEqual([other, first]);
      expect(bitsOf(await pool.runStep(stepOfA))).toEqual(first);

      // b has new parameters under a new name; those of a have changed in memory only, so nobody reads them.
      b.params.fill(0.02);
      const moved = await alone(b, stepOfB, engine);
      a.params.fill(0.5);
      expect(moved).not.toEqual(other);
      expect(settled(await pool.runSteps([stepOfA, { ...stepOfB, version: 2 }]))).toEqual([first, moved]);
      const changed = await alone(a, stepOfA, engine);
      expect(
        settled(
          await pool.runSteps([
            { ...stepOfA, version: 2 },
            { ...stepOfB, version: 2 },
          ]),
        ),
      ).toEqual([changed, moved]);
    },
  );
});

/** What keeps an engine from running here. */
async function missingParts(module: string): Promise<string> {
  const { description } = (await import(module)) as { description: EngineDescription };
  return description.traits("cpu").missing?.join(", ") ?? "";
}

/** What a pool answers with this adapter, or with none. */
async function answersOf(pool: DevicePool, job: string | undefined) {
  const adapter = job === undefined ? undefined : { job, version: 1 };
  const prompts = [0, 1, 2].map((sample) => [1, markOf(sample)]);
  const loss = await pool.evaluate({ set: "train", cells, adapter });
  return { loss, texts: await pool.generateAll({ prompts, adapter, options: { maxNewTokens: 6 } }) };
}

test("evaluation and generation name the job whose adapter they use, or none", async () => {
  const { a, b } = newJobs();
  const both = await open(2, { setup: tinySetup([a, b]) });
  const losses = new Set<number>();
  for (const [id, jobs] of [
    ["a", [a]],
    ["b", [b]],
    [undefined, []],
  ] as const) {
    const found = await answersOf(both, id);
    expect(found).toEqual(await answersOf(await open(1, { setup: tinySetup(jobs) }), id));
    losses.add(found.loss.lossSum);
  }
  expect(losses.size).toBe(3);
});

test("numbers that cannot be used refuse the step of their job, and the other one's stands", async () => {
  const { a, b } = newJobs();
  const expected = await alone(b, stepOfB, referenceEngine());
  const fault = { kind: "nan", sample: 8, times: Number.POSITIVE_INFINITY }; // which only a's step has
  const { faulty } = await openFaulty(2, [fault], { jobs: [a, b] });
  const [refused, stands] = settled(await faulty.runSteps([stepOfA, stepOfB]));
  expect(refused).toBeInstanceOf(StepRefusedError);
  expect(refused).toMatchObject({ step: 4, badCells: [{ cell: 4, samples: [8, 9] }] });
  expect(stands).toEqual(expected);
});

test("a worker that dies with cells of two jobs in its sums costs neither a bit, and each step is named with its job", async () => {
  const { a, b } = newJobs();
  const expected = [await alone(a, stepOfA, referenceEngine()), await alone(b, stepOfB, referenceEngine())];
  const { faulty, events } = await openFaulty(1, [{ kind: "exit", sample: 5 }], { jobs: [a, b] });
  expect(settled(await faulty.runSteps([stepOfA, stepOfB]))).toEqual(expected);
  const redone = events.flatMap((event) => (event.type === "cells-redone" ? [[event.of, event.cells]] : []));
  expect(redone).toEqual([
    ["step 4 of a", [0, 1]],
    ["step 9 of b", [0, 1]],
  ]);
  expect(events.find(({ type }) => type === "worker-died")).toMatchObject({
    lastOperation: expect.stringMatching(/^step 9 of b cell 1, /),
  });
});

test("a pool without jobs takes no step; jobs that are unknown, doubled or of one name are refused", async () => {
  const none = await open(1, { setup: tinySetup([]) });
  await expect(none.runStep(stepOfA)).rejects.toThrow('Cannot run step 4: the pool has no job "a", its jobs are none');
  const { a, b } = newJobs();
  const pool = await open(1, { setup: tinySetup([a, b]) });
  await expect(pool.runStep({ ...stepOfA, job: "c" })).rejects.toThrow(
    'Cannot run step 4 of c: the pool has no job "c", its jobs are a, b',
  );
  await expect(pool.runSteps([stepOfA, stepOfB, { ...stepOfA, step: 5 }])).rejects.toThrow(
    'Cannot run step 5 of a: the call has two steps of job "a", await the first',
  );
  const adapter = { job: "c", version: 1 };
  await expect(pool.evaluate({ set: "train", cells, adapter })).rejects.toThrow(
    'Cannot use job "c": this device has a, b',
  );
  await expect(open(1, { setup: tinySetup([a, { ...b, id: "a" }]) })).rejects.toThrow(
    "Cannot open devices: two jobs are named a, each needs a name of its own",
  );
});

test("cells of all jobs are dealt in turns, the largest of each first", async () => {
  const { a, b } = newJobs();
  const { faulty, events } = await openFaulty(1, [{ kind: "exit", sample: 11 }], { jobs: [a, b] });
  // Sample 11 is in b's first cell and in a's last: the worker dies at its second task.
  await faulty.runSteps([stepOfA, stepOfB]);
  expect(events.find(({ type }) => type === "worker-died")).toMatchObject({
    lastOperation: expect.stringMatching(/^step 9 of b cell 0, /),
  });
});
