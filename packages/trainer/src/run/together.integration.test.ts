/** Several runs on one base in one pool: each leaves what it leaves alone. Rollbacks and errors of validations: together.campaign.test.ts. */
import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { checkpointsIn } from "../../../zerogate/test/here.ts";
import {
  adapterOf,
  alone,
  at,
  configOf,
  data,
  expectBothGoOn,
  fast,
  given,
  onTwoRanks,
  receiptOf,
  release,
  type Started,
  slow,
  teamOfOne,
} from "../../test/runs_together.ts";
import { executeRuns } from "./run.ts";

test("two adapters that are trained together have receipts, checkpoints and bytes of two runs, in order", async () => {
  const expected = [await alone("slow", slow), await alone("fast", fast)] as const;
  const team = teamOfOne();
  const runs = [await given(configOf("slow-2", slow), team), await given(configOf("fast-2", fast), team)] as const;
  const results = await executeRuns(runs);
  await release(runs);
  expect(results.map(({ ending, steps }) => [ending, steps])).toEqual([
    ["finished", 6],
    ["finished", 4],
  ]);
  for (const [n, run] of runs.entries()) {
    const own = expected[n] as Started;
    expect(adapterOf(run)).toEqual(adapterOf(own));
    expect(receiptOf(run)).toBe(receiptOf(own));
    expect(checkpointsIn(run.config.out)).toEqual(checkpointsIn(own.config.out));
    expect(run.told).toEqual(own.told);
  }
  expect(adapterOf(runs[0])).not.toEqual(adapterOf(runs[1]));
});

test("if the view of one run throws at a step the other saves its step, and both go on to the same bits", () =>
  expectBothGoOn("step 2"));

test("two ranks train three adapters, to the same bits, and meet in the same order though one ends earlier", async () => {
  const even = { ...fast, epochs: "2", batchSize: "8" }; // ends with the slow one
  const flags = [slow, even, fast];
  const expected = await Promise.all(flags.map((own, n) => alone(`one-rank-${n}`, own)));
  const { runs, phases } = await onTwoRanks(flags.map((own, n) => configOf(`ranks-${n}`, { ...own, workers: "1" })));
  for (const [n, run] of runs.entries()) {
    expect(adapterOf(run)).toEqual(adapterOf(expected[n] as Started));
    expect(receiptOf(run)).toBe(receiptOf(expected[n] as Started));
  }
  const shared = phases.filter((phase) => phase.startsWith("step")).map((phase) => phase.split(", ").length);
  expect(shared[0]).toBe(3);
  expect(shared.reduce((a, b) => a + b)).toBe(6 + 6 + 4);
});

test("runs on other data or of another team are refused, and nothing is begun", async () => {
  const few = at("few.json");
  writeFileSync(few, JSON.stringify(JSON.parse(readFileSync(data, "utf8")).slice(0, 8)));
  const team = teamOfOne();
  const first = await given(configOf("first", slow), team);
  const second = await given({ ...configOf("second", fast), data: [few] }, team);
  const third = { ...(await given(configOf("third", fast), teamOfOne())) };
  await expect(executeRuns([first, second, third])).rejects.toThrow(
    `Cannot train together: the data of ${second.config.out} is another one than that of ${first.config.out}`,
  );
  await expect(executeRuns([first, third])).rejects.toThrow(`${third.config.out} has another team than`);
  await release([first, second, third]);
  expect(first.told).toEqual([]);
});
