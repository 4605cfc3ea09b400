import type { DeviceJob, Step } from "@zerogate/workers";
import { expect, test } from "vitest";
import { adapterAt, cells, labelledTokens, only, open, openFaulty, step } from "../../../workers/test/faulty_pool.ts";
import { tinyJob, tinySetup } from "../../../workers/test/tiny_setup.ts";
import { totalOf } from "../../../workers/test/total.ts";
import { ranksOver, tokensOf, twoRanks } from "../../test/team_pools.ts";

test("a step of two ranks has the bits of one pool, on both, and each computed a part of it", async () => {
  const alone = totalOf(await (await open(1)).runStep(step)).sums;
  const { onAll } = await twoRanks();
  for (let i = 0; i < 2; i++) {
    const sums = await onAll((pool) => pool.runStep({ ...step, version: 1 + i }));
    for (const sum of sums) {
      const { hostTokens = [] } = sum;
      expect(totalOf(sum).sums).toEqual(alone);
      expect(hostTokens).toHaveLength(2);
      expect(hostTokens.reduce((a, b) => a + b)).toBe(tokensOf(cells.flat()));
      expect(Math.min(...hostTokens)).toBeGreaterThan(0);
    }
    expect(sums[0]?.hostTokens).toEqual(sums[1]?.hostTokens);
  }
});

test("a rank that had nothing to do in a step has a part of the next one", async () => {
  const { onAll } = await twoRanks();
  const few = { ...step, cells: cells.slice(0, 1), version: 1 };
  const shares = (await onAll((pool) => pool.runStep(few))).map(({ hostTokens }) => hostTokens);
  expect(shares[0]).toEqual([tokensOf(cells[0] ?? []), 0]);
  const next = await onAll((pool) => pool.runStep({ ...step, version: 2 }));
  expect(Math.min(...(next[0]?.hostTokens ?? [0]))).toBeGreaterThan(0);
});

test("a validation of two ranks has the loss of one pool", async () => {
  const job = { set: "train", cells, adapter: adapterAt(1) };
  const alone = await (await open(1)).evaluate(job);
  const { onAll } = await twoRanks();
  for (const found of await onAll((pool) => pool.evaluate(job))) {
    expect(found).toEqual(alone);
    expect(found.labelledTokens).toBe(labelledTokens);
  }
});

test("answers come in the order of their prompts, whoever gave them", async () => {
  const prompts = [[16, 3], [17, 4, 5], [18], [19, 6]];
  const job = { prompts, adapter: adapterAt(1), options: { maxNewTokens: 4 } };
  const alone = await (await open(1)).generateAll(job);
  const { onAll } = await twoRanks();
  for (const found of await onAll((pool) => pool.generateAll(job))) expect(found).toEqual(alone);
});

test("what any rank is asked for from outside, all are, after the same step", async () => {
  const { onAll, stops, saves, joined } = await twoRanks();
  await onAll((pool) => pool.runStep(step));
  expect(joined.map(({ asked }) => [asked.signal.aborted, asked.saveRequests.count])).toEqual([
    [false, 0],
    [false, 0],
  ]);
  (saves[0] as { count: number }).count = 1;
  (saves[1] as { count: number }).count = 2;
  stops[1]?.abort();
  expect(joined.map(({ asked }) => asked.signal.aborted)).toEqual([false, false]);
  await onAll((pool) => pool.runStep(step));
  expect(joined.map(({ asked }) => [asked.signal.aborted, asked.saveRequests.count])).toEqual([
    [true, 3],
    [true, 3],
  ]);
});

test("numbers that are bad on one rank refuse the step on both, with the same cells", async () => {
  const faults = [{ kind: "nan", sample: 8, times: 2 }];
  const pools = [(await openFaulty(1, faults)).faulty, (await openFaulty(1, faults)).faulty];
  const { onAll } = ranksOver(pools);
  const errors = await onAll((pool) => pool.runStep(step).catch((error: unknown) => error));
  for (const error of errors) {
    expect(error).toMatchObject({ step: 4, badCells: [{ cell: 4, samples: [8, 9] }] });
  }
});

test("cells that are bad on different ranks are named in the order of the step", async () => {
  const faults = [0, 3, 5, 8, 10].map((sample) => ({ kind: "nan", sample, times: 9 }));
  const pools = [(await openFaulty(1, faults)).faulty, (await openFaulty(1, faults)).faulty];
  const { onAll } = ranksOver(pools);
  const errors = await onAll((pool) => pool.runStep(step).catch((error: unknown) => error));
  for (const error of errors) {
    expect((error as { badCells: { cell: number }[] }).badCells.map(({ cell }) => cell)).toEqual([0, 1, 2, 4, 5]);
  }
});

test("a rank that cannot compute its part fails the step on both, by its number", async () => {
  const faults = [{ kind: "throw", sample: 0, times: 9 }];
  const pools = [(await openFaulty(1, faults)).faulty, (await openFaulty(1, faults)).faulty];
  const { onAll } = ranksOver(pools);
  const errors = await onAll((pool) => pool.runStep(step).catch((error: unknown) => error as Error));
  const messages = errors.map((error) => (error as Error).message);
  expect(messages[0]).toMatch(/^rank \d of 2: /);
  expect(messages[1]).toBe(messages[0]);
});

const newJobs = () => [tinyJob("a"), tinyJob("b", { promptLength: 5, adaptedLayers: 3, gateSharing: "scalar" }, 7)];
const stepsOf = (jobs: readonly DeviceJob[]): Step[] =>
  jobs.map(({ id }, n) => ({ ...step, job: id, step: 4 + n, cells: n === 0 ? cells : cells.slice(0, 3), scale: 0.01 }));

test("steps of two jobs in one call have the bits of their own pools on both ranks, and are added in one meeting", async () => {
  const jobs = newJobs();
  const steps = stepsOf(jobs);
  const alone = await Promise.all(
    jobs.map(async (job, n) => {
      const pool = await open(1, { setup: tinySetup([job]) });
      return totalOf(await pool.runStep(steps[n] as Step)).sums;
    }),
  );
  const pools = [await open(1, { setup: tinySetup(jobs) }), await open(1, { setup: tinySetup(jobs) })];
  const { onAll, meetings } = ranksOver(pools, () => jobs);
  for (const order of [steps, steps.toReversed(), steps.slice(1)]) {
    const before = meetings.length;
    const expected = order.map(({ job }) => alone[jobs.findIndex(({ id }) => id === job)]);
    for (const found of await onAll((pool) => pool.runSteps(order))) {
      expect(found.map((one) => one.status === "fulfilled" && totalOf(one.value).sums)).toEqual(expected);
    }
    expect(meetings.length).toBe(before + 1);
  }
  expect(meetings.map(({ phase }) => phase)).toEqual([
    "step 5 of a, step 6 of b",
    "step 6 of b, step 5 of a",
    "step 6 of b",
  ]);
});

test("bad numbers of one job refuse its step on both ranks, and the other job's stands", async () => {
  const jobs = newJobs();
  const faults = [{ kind: "nan", sample: 8, times: 2 }]; // only a's step has it
  const pools = [(await openFaulty(1, faults, { jobs })).faulty, (await openFaulty(1, faults, { jobs })).faulty];
  const { onAll } = ranksOver(pools, () => jobs);
  for (const [a, b] of await onAll((pool) => pool.runSteps(stepsOf(jobs)))) {
    expect(a).toMatchObject({ status: "rejected", reason: { step: 4, badCells: [{ cell: 4, samples: [8, 9] }] } });
    expect(b).toMatchObject({ status: "fulfilled" });
  }
});

test("ranks whose parameters came apart stop, and say which", async () => {
  const other = only.params.slice();
  other[0] = (other[0] ?? 0) + 1;
  const { onAll } = ranksOver([await open(1), await open(1)], (rank) => [
    rank === 0 ? only : { ...only, params: other },
  ]);
  const errors = await onAll((pool) => pool.runStep(step).catch((error: unknown) => error as Error));
  for (const error of errors) {
    expect((error as Error).message).toContain("Cannot take step 5: the parameters of rank 1 are not those of rank 0");
  }
  // Of several jobs only those that take a step are compared, and the second one too.
  const [a, b] = newJobs() as [DeviceJob, DeviceJob];
  const apart = { ...b, params: b.params.slice().fill(1) };
  const open2 = () => open(1, { setup: tinySetup([a, b]) });
  const two = ranksOver([await open2(), await open2()], (rank) => [a, rank === 0 ? b : apart]);
  const [first, second] = stepsOf([a, b]) as [Step, Step];
  expect(await two.onAll((pool) => pool.runStep(first))).toHaveLength(2);
  for (const error of await two.onAll((pool) => pool.runSteps([first, second]).catch((thrown: unknown) => thrown))) {
    expect((error as Error).message).toContain("Cannot take step 5 of a, step 6 of b: the parameters of rank 1");
  }
});

test("a team of one has the pool and the control that it was given", async () => {
  const pool = await open(1);
  const { joined, stops } = ranksOver([pool]);
  expect(joined[0]?.pool).toBe(pool);
  expect(joined[0]?.asked.signal).toBe(stops[0]?.signal);
});
