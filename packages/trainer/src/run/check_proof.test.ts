/** What a receipt must say before a run goes on from a checkpoint. */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DamagedError } from "@zerogate/core";
import { readModelConfig } from "@zerogate/core/node";
import { type Checkpoint, checkpointFolder, loadCheckpoint } from "@zerogate/run-files";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { copyOf, openPlace, sixSteps, textOf } from "../../../zerogate/test/here.ts";
import { checkProof, underWay } from "./check_proof.ts";

const place = openPlace();
const { at } = place;
let model: Awaited<ReturnType<typeof readModelConfig>>;
let run: string;
let checkpoint: Checkpoint;
let count = 0;
beforeAll(async () => {
  expect(await place.run(sixSteps(place, "whole"))).toMatchObject({ code: 0 });
  model = await readModelConfig(at("base"));
});
beforeEach(async () => {
  run = copyOf(place, "whole", `copy-${count++}`);
  checkpoint = await loadCheckpoint(checkpointFolder(run, 6), model);
});

const asked: unknown[] = [];
const notes: string[] = [];
beforeEach(() => [asked, notes].forEach((list) => list.splice(0)));
/** Checks the proof with somebody who agrees to nothing, or to everything. */
const check = (changed: Partial<Checkpoint> = {}, agrees = false, folder = checkpointFolder(run, 6)) =>
  checkProof(run, folder, { ...checkpoint, ...changed }, model, {
    isAccepted(change) {
      asked.push(change);
      return agrees;
    },
    onNote: (note) => notes.push(note),
  });
const refusal = async (...args: Parameters<typeof check>) => {
  const error = await check(...args).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(DamagedError);
  return (error as Error).message;
};

test("a checkpoint that its receipt proves is one without a word", async () => {
  expect(await check()).toEqual([]);
  expect([asked, notes]).toEqual([[], []]);
});

test("what differs from the receipt is named with where to go back to, and nobody can agree to it", async () => {
  const params = checkpoint.params.map((value) => value + 1);
  const message = await refusal({ params }, true);
  expect(message).toContain(`Cannot go on from ${checkpointFolder(run, 6)}:\n  - `);
  expect(message).toContain("\n  - its parameters are not those of the receipt\n  - take up an earlier one with: ");
  expect(message).toContain("--to STEP");
  expect(asked).toEqual([]);
});

test("a checkpoint under another step's name is refused", async () => {
  const moved = checkpointFolder(run, 9);
  renameSync(checkpointFolder(run, 6), moved);
  expect(await refusal({}, true, moved)).toContain("\n  - its state is that of step 6\n");
});

test("an older receipt, without a digest of the moments, proves the rest, which is noted", async () => {
  const old = fileURLToPath(new URL("../../../../tests/old_runs/0.1.0/stopped", import.meta.url));
  const folder = checkpointFolder(old, 6);
  const config = await readModelConfig(fileURLToPath(new URL("../../world/base", import.meta.url)));
  const loaded = await loadCheckpoint(folder, config);
  const agreement = { isAccepted: () => false, onNote: (note: string) => notes.push(note) };
  expect(await checkProof(old, folder, loaded, config, agreement)).toEqual([]);
  expect(notes).toEqual(["step-6: the receipt, of an earlier version, has no digest of the moments"]);
  expect(await checkProof(old, folder, loaded, config, underWay)).toEqual([]);
});

test.each([
  ["is missing", (path: string) => rmSync(path)],
  ["has no line that step-6 knows: it is another run's, or lost its end", cutLastLines],
  ["is damaged (", (path: string) => writeFileSync(path, `{"event":\n${textOf(run, "receipt.jsonl")}`)],
])("if the receipt %s somebody must agree, and the change is returned", async (says, change) => {
  const path = join(run, "receipt.jsonl");
  change(path);
  const message = await refusal();
  expect(message).toContain(`${path} ${says}`);
  expect(message).toContain("nothing proves what was trained up to there. To go on all the same");
  expect(message).toContain("--accept-change receipt");
  const expected = { field: "receipt", was: checkpoint.state.receipt, is: "not there" };
  expect(asked).toEqual([expected]);
  expect(await check({}, true)).toEqual([expected]);
  expect(await checkProof(run, checkpointFolder(run, 6), checkpoint, model, underWay)).toEqual([expected]);
});

function cutLastLines(path: string): void {
  const lines = textOf(run, "receipt.jsonl").trimEnd().split("\n");
  writeFileSync(path, `${lines.slice(0, 3).join("\n")}\n`);
}
