/** Runs from the command line to the finished folder, in this process: training, stopping, resuming, changing, going back. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import {
  adapterHash,
  checkpointsIn,
  copyOf,
  linesOf,
  openPlace,
  sixSteps,
  textOf,
} from "../../../zerogate/test/here.ts";

const place = openPlace();
const { at, base, run } = place;
const train = (out: string, changes?: Readonly<Record<string, string>>) => run(sixSteps(place, out, changes));
const resume = (out: string, ...more: string[]) => run(["resume", at(out), "--json", ...more]);
/** A run that is stopped after `steps` steps. */
const stopAfter = (out: string, steps: number, changes?: Readonly<Record<string, string>>) =>
  run(sixSteps(place, out, changes), { onLine: ({ step }, stop) => step === steps && stop() });
const events = (out: string) =>
  linesOf(at(out), "receipt.jsonl").map(({ event, step }) => `${String(event)} ${String(step)}`);

let done: Readonly<Record<string, unknown>>;

beforeAll(async () => {
  const whole = await train("whole");
  expect(whole).toMatchObject({ code: 0 });
  for (const phase of ["tokenising data 24/24", "tokenising validation data 4/4", "hashing the base"]) {
    expect(whole.stderr).toContain(phase);
  }
  done = whole.json.at(-1) ?? {};
});

test("a run prints each step and the end, and leaves config, metrics, receipt, checkpoints, adapter and report", () => {
  expect(done).toMatchObject({ event: "done", ending: "finished", steps: 6, out: at("whole"), unmoved: [] });
  expect(done["adapterFolder"]).toBe(at("whole/adapter"));
  expect(done["validation"]).toHaveLength(3);
  expect(events("whole")).toEqual([
    "start undefined",
    "eval 0",
    "step 1",
    "step 2",
    "step 3",
    "eval 3",
    "step 4",
    "step 5",
    "step 6",
    "eval 6",
  ]);
  expect(linesOf(at("whole"), "metrics.jsonl").map(({ event, step }) => `${String(event)} ${String(step)}`)).toEqual([
    "eval 0",
    ...[1, 2, 3].map((step) => `undefined ${step}`),
    "eval 3",
    ...[4, 5, 6].map((step) => `undefined ${step}`),
    "eval 6",
  ]);
  const { best } = done as { best: { step: number; loss: number } };
  const validations = linesOf(at("whole"), "metrics.jsonl").filter(({ event, step }) => event === "eval" && step !== 0);
  expect(best.loss).toBe(Math.min(...validations.map(({ loss }) => loss as number)));
  expect(checkpointsIn(at("whole"))).toContain("step-6");
  // What `auto` was on this machine: a resume elsewhere must not choose again.
  expect(JSON.parse(textOf(at("whole"), "config.json"))).toMatchObject({ compute: "f32" });
  const weights = (folder: string) => readFileSync(join(at("whole"), folder, "adapter_model.safetensors"));
  expect(weights("adapter")).toEqual(weights("checkpoints/step-6"));
  expect(textOf(at("whole"), "report.html")).toContain("<html");
  expect(readdirSync(at("whole")).filter((name) => name.includes("lock"))).toEqual(["lock-1.free"]);
});

test("metrics tell base and adapter apart: the first validation is the base's, the last one the adapter's", () => {
  const validations = linesOf(at("whole"), "metrics.jsonl").filter(({ event }) => event === "eval");
  const { base: before, adapter } = done as { base: { loss: number }; adapter: { loss: number } };
  expect(before.loss).toBeCloseTo(validations[0]?.["loss"] as number, 6);
  expect(adapter.loss).toBeCloseTo(validations.at(-1)?.["loss"] as number, 6);
  expect(adapter.loss).not.toBe(before.loss);
});

test.each([
  ["2", "in the middle of what a checkpoint every second step saves", 3],
  ["1000", "before its first regular checkpoint", 1],
])("a run that saves every %s steps, stopped %s, goes on to the same bits", async (saveEvery, _, steps) => {
  const out = `stopped-${steps}`;
  const stopped = await stopAfter(out, steps, { "--save-every": saveEvery });
  expect(stopped).toMatchObject({ code: 130 });
  expect(stopped.json.at(-1)).toMatchObject({ event: "interrupted", steps, out: at(out) });
  expect(existsSync(at(`${out}/adapter`))).toBe(false);
  expect(checkpointsIn(at(out))).toContain(`step-${steps}`);
  const resumed = await resume(out);
  expect(resumed).toMatchObject({ code: 0 });
  expect(resumed.json.filter(({ event }) => event === "step").map(({ step }) => step)).toEqual(
    [1, 2, 3, 4, 5, 6].filter((step) => step > steps),
  );
  expect(adapterHash(at(out))).toBe(adapterHash(at("whole")));
  expect(events(out)).toEqual(events("whole"));
});

test("a run without any checkpoint starts again, with a word, to the same bits", async () => {
  copyOf(place, "whole", "none");
  for (const name of ["checkpoints", "adapter", "report.html"]) rmSync(at(`none/${name}`), { recursive: true });
  const resumed = await resume("none");
  expect(resumed).toMatchObject({ code: 0 });
  expect(resumed.stderr).toContain("the run ended before its first checkpoint: it starts again from its first step");
  expect(adapterHash(at("none"))).toBe(adapterHash(at("whole")));
  const edited = copyOf(place, "none", "edited");
  for (const name of ["checkpoints", "adapter"]) rmSync(join(edited, name), { recursive: true });
  const config = JSON.parse(textOf(edited, "config.json")) as object;
  writeFileSync(join(edited, "config.json"), JSON.stringify({ ...config, lr: 0.5 }));
  const refused = await resume("edited");
  expect(refused).toMatchObject({ code: 2 });
  expect(refused.stderr).toContain("its config.json is not that which it began with");
});

test("another adapter in the place of the run's own is kept aside, and a missing one is written again", async () => {
  copyOf(place, "whole", "foreign");
  writeFileSync(at("foreign/adapter/README.md"), "mine");
  const first = await resume("foreign");
  expect(first).toMatchObject({ code: 0 });
  expect(adapterHash(at("foreign"))).toBe(adapterHash(at("whole")));
  expect(textOf(at("foreign"), "adapter/README.md")).not.toBe("mine");
});

test("a change that decides bits is refused, accepted by name, written down, and not asked for again", async () => {
  await stopAfter("changed", 3);
  const refused = await resume("changed", "--lr", "0.02");
  expect(refused).toMatchObject({ code: 2 });
  expect(refused.stderr).toContain("lr was ");
  expect(refused.stderr).toContain("--accept-change lr");
  expect(existsSync(at("changed/accepted.json"))).toBe(false);
  const accepted = await run(["resume", at("changed"), "--json", "--lr", "0.02", "--accept-change", "lr"], {
    onLine: ({ step }, stop) => step === 4 && stop(),
  });
  expect(accepted).toMatchObject({ code: 130 });
  expect(accepted.stderr).toMatch(/lr was \S+, is 0.02: it decides the trained bits: accepted/);
  const again = await resume("changed");
  expect(again).toMatchObject({ code: 0 });
  expect(events("changed")).toContain("accepted 3");
  expect(adapterHash(at("changed"))).not.toBe(adapterHash(at("whole")));
  expect(JSON.parse(textOf(at("changed"), "accepted.json"))).toMatchObject({
    changes: [{ step: 3, field: "lr", is: "0.02" }],
  });
});

test("checkpoints that a rollback may need stay, however few are kept", async () => {
  const back = {
    "--on-bad-numbers": "rollback",
    "--rollback-steps": "2",
    "--save-every": "1",
    "--keep-checkpoints": "1",
    "--eval-every": "100",
  };
  expect(await run(sixSteps(place, "kept", back))).toMatchObject({ code: 0 });
  expect(checkpointsIn(at("kept"))).toEqual(["step-4", "step-5", "step-6"]);
  expect(await run(sixSteps(place, "few", { ...back, "--on-bad-numbers": "skip" }))).toMatchObject({ code: 0 });
  expect(checkpointsIn(at("few"))).toEqual(["step-6"]);
});

test("changes that decide nothing are named and allowed", async () => {
  await stopAfter("safe", 2);
  const resumed = await resume("safe", "--workers", "2", "--keep-checkpoints", "1");
  expect(resumed).toMatchObject({ code: 0 });
  expect(resumed.stderr).toContain("workers was 1, is 2: allowed");
  expect(resumed.stderr).toContain("keepCheckpoints was ");
  expect(adapterHash(at("safe"))).toBe(adapterHash(at("whole")));
});

test("names that are no fields cannot be accepted, with the nearest one", async () => {
  const refused = await resume("whole", "--accept-change", "dataa");
  expect(refused).toMatchObject({ code: 2 });
  expect(refused.stderr).toContain('there is no "dataa": did you mean "data"?');
});

test("a run that went back with rewind gives the same bits, and what came later is kept", async () => {
  copyOf(place, "whole", "back");
  expect(await run(["rewind", at("back"), "--to", "4"])).toMatchObject({ code: 0 });
  expect(readdirSync(at("back/rewound/1")).toSorted()).toEqual([
    "adapter",
    "metrics.jsonl",
    "receipt.jsonl",
    "report.html",
    "step-6",
  ]);
  expect(existsSync(at("back/adapter"))).toBe(false);
  expect(await resume("back")).toMatchObject({ code: 0 });
  expect(adapterHash(at("back"))).toBe(adapterHash(at("whole")));
  expect(events("back")).toEqual(events("whole"));
  const wrong = await run(["rewind", at("back"), "--to", "5"]);
  expect(wrong).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("there is no checkpoint of it: there are those of steps"),
  });
});

test("what stands in the way of a run directory is said before any work", async () => {
  expect(await train("whole")).toMatchObject({ code: 2, stderr: expect.stringContaining("it holds a run:") });
  mkdirSync(at("full"));
  writeFileSync(at("full/notes.txt"), "");
  expect(await train("full")).toMatchObject({ code: 2, stderr: expect.stringContaining("it is not empty") });
  writeFileSync(at("file"), "");
  expect(await train("file")).toMatchObject({ code: 2, stderr: expect.stringContaining("is a file") });
  const nowhere = await run(["resume", at("nowhere")]);
  expect(nowhere).toMatchObject({ code: 2, stderr: expect.stringContaining("there is no config.json in it") });
});

test("an epoch, a share held out of the data, a warm-up in epochs and a start from another adapter", async () => {
  const flags = sixSteps(place, "epoch", { "--val-fraction": "0.25", "--init-adapter": at("whole/adapter") });
  const without = flags.filter(
    (flag, i) => ![flag, flags[i - 1]].some((name) => ["--steps", "--validation-data"].includes(name ?? "")),
  );
  const trained = await run([
    ...without,
    "--epochs",
    "2",
    "--warmup-epochs",
    "1",
    "--eval-every",
    "0",
    "--save-every",
    "0",
  ]);
  expect(trained).toMatchObject({ code: 0 });
  // 18 of 24 records are left to train on: five steps of four an epoch, with checkpoint and validation.
  expect(trained.json.at(-1)).toMatchObject({ steps: 10 });
  expect(checkpointsIn(at("epoch"))).toEqual(["step-10", "step-5"]);
  const steps = trained.json.filter(({ event }) => event === "step") as { learningRate: number; epoch: number }[];
  expect(steps[0]?.learningRate).toBe(0);
  expect(steps[5]?.learningRate).toBe(Math.max(...steps.map(({ learningRate }) => learningRate)));
  expect(steps[4]?.epoch).toBe(1);
  const { base: before } = trained.json.at(-1) as { base: { loss: number } };
  const start = linesOf(at("epoch"), "metrics.jsonl")[0];
  // It starts from what the other run has learnt, so that its first validation is not the base's.
  expect(start).toMatchObject({ event: "eval", step: 0 });
  expect(Math.abs((start?.["loss"] as number) - before.loss)).toBeGreaterThan(1e-6);
});

test("a longer text than the model reads is refused, and a dry run says what a run would do and writes nothing", async () => {
  const long = await train("long", { "--max-length": "193" });
  expect(long).toMatchObject({ code: 2, stderr: expect.stringContaining("use at most that") });
  expect(existsSync(at("long"))).toBe(false);
  const asked = await run([...sixSteps(place, "dry", { "--max-length": "192" }), "--dry-run"]);
  expect(asked).toMatchObject({ code: 0 });
  expect(asked.json[0]).toMatchObject({ totalSteps: 6, stepsPerEpoch: 6, samples: 24, heldOut: 4, truncated: 0 });
  expect(existsSync(at("dry"))).toBe(false);
});

test("the first held-out records are answered by base and adapter, as many as asked for", async () => {
  const { json } = await run(sixSteps(place, "answers", { "--report-answers": "2" }));
  const { samples } = json.at(-1) as { samples: { prompt: string; expected: string; base: string; adapter: string }[] };
  const held = JSON.parse(readFileSync(at("held.json"), "utf8")) as {
    instruction: string;
    input: string;
    output: string;
  }[];
  expect(samples.map(({ prompt }) => prompt)).toEqual(
    held.slice(0, 2).map(({ instruction, input }) => (input === "" ? instruction : `${instruction}\n${input}`)),
  );
  expect(samples.map(({ expected }) => expected)).toEqual(held.slice(0, 2).map(({ output }) => output.trim()));
  for (const { base: before, adapter } of samples)
    expect([typeof before, typeof adapter]).toEqual(["string", "string"]);
  expect(done["samples"]).toEqual([]);
});

test("an adapter is measured as in its run, and generates the same text each time", async () => {
  const model = ["--model", base, "--adapter", at("whole/adapter"), "--engine", "reference"];
  const measured = await run(["eval", ...model, "--data", at("held.json"), "--max-length", "128", "--json"]);
  expect(measured).toMatchObject({ code: 0 });
  const { adapter } = done as { adapter: { loss: number } };
  expect(JSON.stringify(measured.json)).toContain(String(adapter.loss).slice(0, 8));
  const asked = ["generate", ...model, "--instruction", "Say hello", "--max-new-tokens", "4"];
  const [one, two] = [await run(asked), await run(asked)];
  expect(one).toMatchObject({ code: 0, stdout: expect.stringMatching(/\S/) });
  expect(one.stdout).toBe(two.stdout);
});
