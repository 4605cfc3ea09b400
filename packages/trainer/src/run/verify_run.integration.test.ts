/** What `verify` finds in a run that somebody or something changed, and what a replay does. */
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { writeInputs } from "../../../../tests/old_runs/recipes.ts";
import { copyOf, linesOf, openPlace, sixSteps, textOf } from "../../../zerogate/test/here.ts";

const place = openPlace();
const { at, run } = place;
const verify = (out: string, ...more: string[]) => run(["verify", at(out), "--json", ...more]);

beforeAll(async () => {
  const trained = await run(sixSteps(place, "whole", { "--adapter-layers": "2", "--keep-checkpoints": "9" }));
  expect(trained).toMatchObject({ code: 0 });
});

test("a run that was left alone is right in everything, by hashes and done again", async () => {
  const verified = await verify("whole", "--replay", "1..6");
  expect(verified).toMatchObject({ code: 0 });
  expect(verified.json[0]).toMatchObject({
    ok: true,
    problems: [],
    notes: [],
    replay: { start: 0, same: 6 },
    chain: linesOf(at("whole"), "receipt.jsonl").at(-1)?.["chain"],
  });
  const { checked } = verified.json[0] as { checked: string[] };
  const text = checked.join("\n");
  for (const part of [
    "receipt.jsonl: 10 lines",
    "metrics.jsonl: 9 losses",
    "step-2",
    "step-4",
    "step-6",
    "adapter: ",
  ]) {
    expect(text).toContain(part);
  }
});

test("a run of an earlier version is right in all that it can prove, and what it cannot is noted", async () => {
  cpSync(fileURLToPath(new URL("../../../../tests/old_runs/0.1.0/finished", import.meta.url)), at("old"), {
    recursive: true,
  });
  mkdirSync(at("inputs"));
  writeInputs(at("inputs"));
  const verified = await verify("old", "--model", at("inputs/base"), "--data", at("inputs/data.json"));
  expect(verified).toMatchObject({ code: 0 });
  const { checked, notes, problems } = verified.json[0] as Record<string, string[]>;
  expect(problems).toEqual([]); // its model card has other words, which is none
  expect(notes).toContain("step-6: the receipt, of an earlier version, has no digest of the moments");
  expect(checked?.join("\n")).toMatch(/step-6: all files as published, the parameters of the receipt/);
});

test.each([
  ["3..4", { start: 2, same: 2 }],
  ["4..5", { start: 3, same: 2 }],
  ["5..5", { start: 4, same: 1 }],
])("steps %s are done again from the checkpoint before them", async (range, replay) => {
  expect((await verify("whole", "--replay", range)).json[0]).toMatchObject({ ok: true, replay });
});

test.each(["7..7", "1..7"])("steps that were not done cannot be done again: %s", async (range) => {
  const refused = await verify("whole", "--replay", range);
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("the receipt has 6 steps") });
});

/** Replaces a part of a text file. */
function edit(path: string, from: RegExp, to: string): void {
  const folder = join(path, "..");
  const name = path.slice(folder.length + 1);
  const before = textOf(folder, name);
  const after = before.replace(from, to);
  if (after === before) throw new Error(`nothing of ${name} is ${from}`);
  writeFileSync(path, after);
}

const changes: [what: string, change: (run: string) => void, says: string][] = [
  [
    "a loss of the metrics",
    (out) => edit(join(out, "metrics.jsonl"), /("step":3,.*?"loss":)/, "$11"),
    "the loss of step 3 is 1",
  ],
  [
    "a validation",
    (out) => edit(join(out, "metrics.jsonl"), /("eval","step":6,.*?"loss":)/, "$12"),
    "the validation loss of step 6 is 2",
  ],
  [
    "a line of the metrics",
    (out) => edit(join(out, "metrics.jsonl"), /\{"step":2/, '{"stop":2'),
    "1 lines cannot be read",
  ],
  [
    "a line of the receipt",
    (out) => edit(join(out, "receipt.jsonl"), /("event":"step","step":4,"loss":)/, "$11"),
    "receipt.jsonl: ",
  ],
  [
    "the adapter",
    (out) => truncateSync(join(out, "adapter/adapter_model.safetensors"), 100),
    "adapter/adapter_model.safetensors is not that of the last checkpoint, step 6",
  ],
  [
    "the adapter's config",
    (out) => edit(join(out, "adapter/adapter_config.json"), /"adapter_len": 10/, '"adapter_len": 11'),
    "adapter/adapter_config.json is not that of",
  ],
  [
    "the adapter's card",
    (out) => rmSync(join(out, "adapter/README.md")),
    "adapter/README.md is missing, unlike in the last checkpoint, step 6",
  ],
  [
    "a checkpoint",
    (out) => truncateSync(join(out, "checkpoints/step-4/state.msgpack"), 5),
    "step-4: state.msgpack has 5 bytes",
  ],
  [
    "a checkpoint's state, and its manifest with it",
    (out) => {
      const folder = join(out, "checkpoints/step-4");
      const before = readFileSync(join(folder, "state.msgpack"));
      const after = before.subarray(0, 9);
      writeFileSync(join(folder, "state.msgpack"), after);
      const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
      edit(join(folder, "manifest.json"), new RegExp(sha256(before)), sha256(after));
      edit(join(folder, "manifest.json"), new RegExp(`"size": ${before.length}`), `"size": ${after.length}`);
    },
    "step-4: ",
  ],
  ["a checkpoint's number", (out) => copyCheckpoint(out, 4, 5), "step-5: its state is that of step 4"],
];

function copyCheckpoint(out: string, from: number, to: number): void {
  const name = out.slice(at("").length);
  copyOf(place, join(name, `checkpoints/step-${from}`), join(name, `checkpoints/step-${to}`));
}

test.each(changes)("somebody who changes %s is found out", async (what, change, says) => {
  const out = what.replaceAll(/\W/g, "-");
  change(copyOf(place, "whole", out));
  const verified = await verify(out);
  expect(verified).toMatchObject({ code: 3 });
  const { ok, problems } = verified.json[0] as { ok: boolean; problems: string[] };
  expect(ok).toBe(false);
  expect(problems.join("\n")).toContain(says);
});

test("a checkpoint of another run is found out by its link to the receipt", async () => {
  const out = copyOf(place, "whole", "mixed");
  expect(await run(sixSteps(place, "other", { "--seed": "8", "--adapter-layers": "2" }))).toMatchObject({ code: 0 });
  rmSync(join(out, "checkpoints/step-4"), { recursive: true });
  copyOf(place, "other/checkpoints/step-4", "mixed/checkpoints/step-4");
  const verified = await verify("mixed");
  expect(verified).toMatchObject({ code: 3 });
  const { problems, checked } = verified.json[0] as { problems: string[]; checked: string[] };
  expect(problems).toEqual(["step-4: the line of the receipt that it knows is not there"]);
  expect(checked.join()).toContain("step-6: all files as published, parameters and moments of the receipt");
});

test("a checkpoint that fits another base is named with what is wrong", async () => {
  const out = copyOf(place, "whole", "shape");
  expect(await run(sixSteps(place, "wide", { "--adapter-len": "3", "--adapter-layers": "2" }))).toMatchObject({
    code: 0,
  });
  rmSync(join(out, "checkpoints/step-4"), { recursive: true });
  copyOf(place, "wide/checkpoints/step-4", "shape/checkpoints/step-4");
  expect((await verify("shape")).json[0]).toMatchObject({ ok: false, problems: [expect.stringContaining("step-4")] });
});

test("a run that delivered its best step is compared with that one", async () => {
  const flags = { "--adapter-from": "best", "--lr": "60", "--eval-every": "1", "--keep-checkpoints": "9" };
  const trained = await run(sixSteps(place, "best", { ...flags, "--adapter-layers": "2" }));
  const { best } = trained.json.at(-1) as { best: { step: number } };
  expect(best.step).toBeLessThan(6);
  const verified = await verify("best");
  expect(verified).toMatchObject({ code: 0 });
  const { checked } = verified.json[0] as { checked: string[] };
  expect(checked.join("\n")).toContain(`the best checkpoint, step ${best.step}`);
  copyOf(place, "best/checkpoints/step-6/adapter_model.safetensors", "best/adapter/adapter_model.safetensors");
  expect(await verify("best")).toMatchObject({ code: 3 });
});

test("what is only not there yet is a note", async () => {
  const out = copyOf(place, "whole", "unfinished");
  rmSync(join(out, "adapter"), { recursive: true });
  rmSync(join(out, "checkpoints"), { recursive: true });
  const verified = await verify("unfinished");
  expect(verified).toMatchObject({ code: 0 });
  const { notes } = verified.json[0] as { notes: string[] };
  expect(notes).toContain("there is no adapter yet: the run has not ended");
  expect(notes).toContain("there is no checkpoint");
});

test("a receipt whose last line is cut is no wrong; a resume goes on from what it knows", async () => {
  const out = copyOf(place, "whole", "cut");
  const text = textOf(out, "receipt.jsonl");
  truncateSync(join(out, "receipt.jsonl"), text.length - 30);
  expect((await verify("cut")).json[0]).toMatchObject({
    notes: expect.arrayContaining([expect.stringContaining("its last line is cut off")]),
  });
  expect(existsSync(join(out, "adapter"))).toBe(true);
});
