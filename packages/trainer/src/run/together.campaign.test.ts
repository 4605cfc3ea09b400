/** Several runs in one pool that roll back, accept a change or lose their view in a validation: seconds each. */
import { cpSync } from "node:fs";
import { expect, test } from "vitest";
import { withPoisonedToken } from "../../../../tests/support/hostile_model.ts";
import { linesOf } from "../../../zerogate/test/here.ts";
import {
  adapterOf,
  alone,
  at,
  configOf,
  expectBothGoOn,
  given,
  onTwoRanks,
  receiptOf,
  release,
  type Started,
  slow,
  teamOfOne,
  world,
} from "../../test/runs_together.ts";
import { openCheckpoint } from "./resume.ts";
import { executeRun } from "./run.ts";

test("if the view of one run throws at a validation the other saves its step, and both go on to the same bits", () =>
  expectBothGoOn("eval 2"));

test("two ranks roll two adapters back at the same step, each to the bits of a run of its own", async () => {
  const clean = await given(configOf("clean", { ...slow, model: world }), teamOfOne());
  await release([clean]);
  poison(clean, 1, "poisoned");
  const back = {
    ...slow,
    model: at("poisoned"),
    epochs: "1",
    onBadNumbers: "rollback",
    rollbackSteps: "1",
    saveEvery: "1",
  };
  const flags = [back, { ...back, adapterLen: "2", lr: "0.2" }];
  const expected = await Promise.all(flags.map((own, n) => alone(`back-${n}`, own)));
  const { runs, phases } = await onTwoRanks(flags.map((own, n) => configOf(`backs-${n}`, { ...own, workers: "1" })));
  for (const [n, run] of runs.entries()) {
    expect(run.told.filter((line) => line.startsWith("start "))).toHaveLength(2);
    expect(adapterOf(run)).toEqual(adapterOf(expected[n] as Started));
    expect(receiptOf(run)).toBe(receiptOf(expected[n] as Started));
  }
  expect(phases).toContain("going back");
});

test("a change that a resume accepted stands in the receipt once, also after a rollback to a later step", async () => {
  const six = { ...slow, model: world, batchSize: "4", epochs: "1", evalEvery: "9", saveEvery: "1" };
  const clean = await given(configOf("clean-six", six), teamOfOne());
  await release([clean]);
  poison(clean, 4, "poisoned-later");
  const flags = { ...six, model: at("poisoned-later"), onBadNumbers: "rollback", rollbackSteps: "1" };
  const stop = new AbortController();
  const begun = await given(configOf("accepted", flags), teamOfOne(), (line) => line === "step 2" && stop.abort());
  expect(await executeRun({ ...begun, signal: stop.signal })).toMatchObject({ ending: "interrupted", steps: 2 });
  await release([begun]);
  const run = await given({ ...begun.config, lr: 0.02 }, teamOfOne());
  const wish = { config: run.config, accept: ["lr"], onWarning() {}, onNote() {} };
  const from = await openCheckpoint(run.inputs, wish);
  expect(await executeRun({ ...run, from })).toMatchObject({ ending: "finished", steps: 6 });
  await release([run]);
  expect(run.told.filter((line) => line.startsWith("start "))).toEqual(["start 2", "start 3"]);
  const accepted = linesOf(run.config.out, "receipt.jsonl").filter(({ event }) => event === "accepted");
  expect(accepted).toMatchObject([{ step: 2, field: "lr", is: "0.02" }]);
});

/** Writes a base on which one sample of this step has numbers that cannot be used. */
function poison({ inputs }: Started, step: number, name: string): void {
  const { tokens } = inputs.train;
  if (!("ids" in tokens)) throw new Error("the samples are not in memory");
  const { ids, offsets } = tokens;
  const [sample = 0] = inputs.plan.step(step).samples;
  const own = [...ids.subarray(offsets[sample], offsets[sample + 1])];
  const others = [...ids.subarray(0, offsets[sample]), ...ids.subarray(offsets[sample + 1])];
  const heldOut = inputs.heldOut?.tokens;
  const held = heldOut && "ids" in heldOut ? [...heldOut.ids] : [];
  const token = own.find((id) => !others.includes(id) && !held.includes(id));
  if (token === undefined) throw new Error(`sample ${sample} has no token of its own`);
  cpSync(world, at(name), { recursive: true });
  withPoisonedToken(at(name), token);
}
