/** Steps done again from a receipt that somebody changed, or from inputs that are no longer those of the run. */
import { rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import type { ReceiptBody } from "@zerogate/run-files";
import { loadCheckpoint, saveCheckpoint } from "@zerogate/run-files";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { changeReceipt } from "../../../run-files/test/receipts.ts";
import { copyOf, openPlace, sixSteps } from "../../../zerogate/test/here.ts";
import { openInputs, type RunInputs } from "./inputs.ts";
import type { Phase } from "./phase.ts";
import { replayRun } from "./replay.ts";
import { readRunConfig } from "./run_folder.ts";

const place = openPlace();
const { at } = place;
let inputs: RunInputs;
let run: string;
let count = 0;
beforeAll(async () => {
  const flags = sixSteps(place, "whole", { "--keep-checkpoints": "9", "--adapter-layers": "2", "--eval-every": "6" });
  expect(await place.run(flags)).toMatchObject({ code: 0 });
  const config = await readRunConfig(at("whole"), { cacheDir: at("cache") });
  inputs = await openInputs(config, { onPhase() {}, onWarning() {}, signal: new AbortController().signal });
});
beforeEach(() => {
  run = copyOf(place, "whole", `copy-${count++}`);
});

async function replay(from: number, to: number, own = inputs, signal = new AbortController().signal) {
  const phases: (Phase | undefined)[] = [];
  const view = { phase: (phase: Phase | undefined) => void phases.push(phase), device() {}, signal };
  const found = await replayRun(await readRunConfig(run, {}), own, { from, to }, view);
  return { found, phases };
}
const forge = (step: number, change: (body: ReceiptBody & { event: "step" }) => readonly ReceiptBody[]) =>
  changeReceipt(run, (body) => (body.event === "step" && body.step === step ? change(body) : [body]));
const withoutCheckpoints = () => rmSync(join(run, "checkpoints"), { recursive: true });

test("steps that are the same are counted, those before the range too, and progress is that of all of them", async () => {
  const { found, phases } = await replay(4, 5);
  expect(found).toEqual({ start: 2, same: 3, difference: undefined });
  expect(phases).toEqual([
    { name: "starting workers" },
    undefined,
    ...[0, 1, 2].map((done) => ({ name: "replaying", done, total: 3 })),
    undefined,
  ]);
});

test("the first step with another loss is reported with both", async () => {
  forge(4, (body) => [{ ...body, loss: 0.5 }]);
  const { found } = await replay(3, 6);
  expect(found).toMatchObject({ start: 2, same: 1, difference: { step: 4, what: "loss", was: "0.5" } });
  expect(Number(found.difference?.is)).toBeGreaterThan(1);
});

test("the first step with other parameters is reported with both digests", async () => {
  forge(5, (body) => [{ ...body, params: "0".repeat(64) }]);
  expect((await replay(3, 6)).found).toMatchObject({
    same: 2,
    difference: { step: 5, what: "parameters", was: "0".repeat(64), is: expect.stringMatching(/^[0-9a-f]{64}$/) },
  });
});

test("a step that was skipped is skipped again, and changes what comes after it", async () => {
  forge(3, ({ step }) => [{ event: "void", step, reason: "NaN" }]);
  expect((await replay(3, 3)).found).toEqual({ start: 2, same: 0, difference: undefined });
  expect((await replay(3, 4)).found).toMatchObject({ same: 0, difference: { step: 4 } });
});

test("steps in a gap are done and not compared", async () => {
  forge(3, () => []);
  expect((await replay(3, 4)).found).toEqual({ start: 2, same: 1, difference: undefined });
});

test("the newest whole checkpoint before the range is where it begins, else the start of the run", async () => {
  expect((await replay(6, 6)).found).toEqual({ start: 4, same: 2, difference: undefined });
  truncateSync(join(run, "checkpoints", "step-4", "state.msgpack"), 4);
  expect((await replay(6, 6)).found).toEqual({ start: 2, same: 4, difference: undefined });
  withoutCheckpoints();
  expect((await replay(2, 2)).found).toEqual({ start: 0, same: 2, difference: undefined });
});

test("steps that the receipt does not have are refused with how many it has", async () => {
  await expect(replay(2, 7)).rejects.toThrow("Cannot replay steps 2 to 7: the receipt has 6 steps");
  rmSync(join(run, "receipt.jsonl"));
  await expect(replay(1, 1)).rejects.toThrow("the receipt has 0 steps");
});

test("a replay that is stopped ends before its next step", async () => {
  await expect(replay(1, 6, inputs, AbortSignal.abort(new Error("stopped")))).rejects.toThrow("stopped");
});

test("what a step cannot use is reported as that", async () => {
  withoutCheckpoints();
  const initialParams = new Float32Array(inputs.initialParams.length).fill(Number.NaN);
  expect((await replay(1, 1, { ...inputs, initialParams })).found).toMatchObject({
    same: 0,
    difference: { step: 1, what: "loss", is: "not a number that could be used" },
  });
});

test("inputs that are no longer those of the checkpoint, or of the start, are refused by name", async () => {
  const other = { ...inputs, hashes: { ...inputs.hashes, data: "x", plan: "y" } };
  const says = /the data is no longer what it was\n.*the plan is no longer what it was$/;
  await expect(replay(4, 4, other)).rejects.toThrow(says);
  withoutCheckpoints();
  await expect(replay(1, 1, other)).rejects.toThrow(says);
});

const acceptedAt = (step: number, field = "data") =>
  changeReceipt(run, (body) =>
    body.event === "step" && body.step === step + 1
      ? [{ event: "accepted", step, field, was: "a", is: "b" }, body]
      : [body],
  );

test("a change that was accepted is no fault of the inputs, but steps before it cannot be done again", async () => {
  const other = { ...inputs, hashes: { ...inputs.hashes, data: "x" } };
  acceptedAt(2);
  expect((await replay(3, 4, other)).found).toEqual({ start: 2, same: 2, difference: undefined });
  await expect(replay(2, 4, other)).rejects.toThrow(
    "data was changed after step 2, and steps before that need what it was: name steps after the first checkpoint that follows it",
  );
  acceptedAt(3, "lr");
  await expect(replay(3, 4)).rejects.toThrow("lr was changed after step 3");
  expect((await replay(5, 5)).found).toMatchObject({ start: 4, same: 1 });
});

test("a change before the first step counts if there is no checkpoint", async () => {
  acceptedAt(0, "lr");
  expect((await replay(3, 3)).found).toMatchObject({ start: 2, same: 1 });
  withoutCheckpoints();
  await expect(replay(1, 1)).rejects.toThrow("lr was changed after step 0");
});

test("another engine is refused, that of the checkpoint or of the start", async () => {
  const says = /^Cannot replay \S+: it was trained by engine cpu\/avx2, this is reference$/;
  changeReceipt(run, (body) => [body.event === "start" ? { ...body, engine: "cpu/avx2" } : body]);
  expect((await replay(3, 3)).found).toMatchObject({ start: 2, same: 1 }); // the checkpoint's counts
  const folder = join(run, "checkpoints", "step-2");
  const checkpoint = await loadCheckpoint(folder, inputs.model);
  rmSync(folder, { recursive: true });
  await saveCheckpoint(run, { ...checkpoint, state: { ...checkpoint.state, engine: "cpu/avx2" } });
  await expect(replay(3, 3)).rejects.toThrow(says);
  withoutCheckpoints();
  await expect(replay(1, 1)).rejects.toThrow(says);
});
