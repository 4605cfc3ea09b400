/** Whether a run has come to its end, and what `verify` says of one if something is lost, changed or not there yet. */
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readModelConfig } from "@zerogate/core/node";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { changeReceipt } from "../../../run-files/test/receipts.ts";
import { checkpointsIn, copyOf, openPlace, sixSteps, textOf } from "../../../zerogate/test/here.ts";
import { endedRun } from "./ended.ts";
import { readRunConfig } from "./run_folder.ts";
import { verifyRun } from "./verify_run.ts";

const place = openPlace();
const { at } = place;
const model = await readModelConfig(place.base);
let run: string;
let count = 0;
beforeAll(async () => {
  const flags = { "--keep-checkpoints": "9", "--adapter-layers": "2", "--eval-every": "1", "--report-answers": "0" };
  // The last is the best with a small rate, an earlier one with one that is far too large.
  expect(await place.run(sixSteps(place, "last", flags))).toMatchObject({ code: 0 });
  expect(await place.run(sixSteps(place, "best", { ...flags, "--lr": "60" }))).toMatchObject({ code: 0 });
  const early = { ...flags, "--lr": "60", "--early-stopping": "2", "--steps": "9" };
  expect(await place.run(sixSteps(place, "early", early))).toMatchObject({ code: 0 });
});
const use = (name: string) => {
  run = copyOf(place, name, `copy-${count++}`);
};
beforeEach(() => use("best"));
const configOf = (flags: Readonly<Record<string, unknown>> = {}) => readRunConfig(run, flags);
const ended = async (flags?: Readonly<Record<string, unknown>>) => await endedRun(await configOf(flags), model, true);
const verified = async () => await verifyRun(await configOf(), model);
const bestStep = async () => (await ended())?.best?.step ?? 0;
const remove = (...names: string[]) => rmSync(join(run, ...names), { recursive: true });

test("a run that has ended says how, with its best, its adapter and its report, and did nothing [T-D6]", async () => {
  const best = await bestStep();
  expect(best).toBeLessThan(6);
  expect(await ended()).toEqual({
    ending: "finished",
    steps: 6,
    best: { step: best, loss: expect.any(Number) },
    choice: { from: "best", step: best, steps: 6, loss: expect.any(Number) },
    samples: [],
    unmoved: [],
    adapterFolder: join(run, "adapter"),
    report: join(run, "report.html"),
    durationMs: 0,
    hadEnded: true,
  });
  use("last");
  expect(await ended()).toMatchObject({ ending: "finished", steps: 6 });
  use("early");
  const early = await ended();
  expect(early?.ending).toBe("stopped-early");
  expect(early?.steps).toBeLessThan(9);
});

test.each<[what: string, change: () => void]>([
  ["without its report", () => remove("report.html")],
  ["without its adapter", () => remove("adapter")],
  ["with another adapter", () => writeFileSync(join(run, "adapter", "README.md"), "mine")],
  ["without a checkpoint", () => remove("checkpoints")],
  ["whose newest checkpoint is broken", () => truncateSync(join(run, "checkpoints/step-6/state.msgpack"), 3)],
  ["whose receipt is lost", () => remove("receipt.jsonl")],
  ["whose newest checkpoint is gone", () => remove("checkpoints", "step-6")],
  [
    "whose newest checkpoint has another step's number",
    () => {
      remove("checkpoints", "step-6");
      copyOf(place, "best/checkpoints/step-4", `${run.slice(at("").length)}/checkpoints/step-6`);
    },
  ],
])("a run %s has not ended [T-D6]", async (_, change) => {
  change();
  expect(await ended()).toBeUndefined();
});

test("a run has not ended if this call wants something else: steps, answers, bits, another state [T-D6]", async () => {
  for (const flags of [
    { steps: "7" },
    { reportAnswers: "1" },
    { lr: "0.5" },
    { adapterFrom: "last" },
    { adapterDtype: "bf16" },
  ]) {
    expect(await ended(flags), JSON.stringify(flags)).toBeUndefined();
  }
  expect(await ended({ workers: "3", logLevel: "error" })).toBeDefined();
  use("early");
  expect(await ended({ earlyStopping: "5" })).toBeUndefined();
});

test("a run that was stopped has not ended, even if its adapter is that of its newest checkpoint [T-D6]", async () => {
  const best = await bestStep();
  for (const name of checkpointsIn(run)) if (name > `step-${best}`) remove("checkpoints", name);
  expect(await ended()).toBeUndefined();
});

test("a run whose adapter is not written yet has no wrong one", async () => {
  remove("adapter");
  const { problems, notes } = await verified();
  expect(problems).toEqual([]);
  expect(notes).toContain("there is no adapter yet: the run has not ended");
});

test("a run in epochs has ended after them", async () => {
  const flags = sixSteps(place, "epochs", { "--adapter-layers": "2", "--eval-every": "3" });
  const at6 = flags.indexOf("--steps");
  expect(await place.run([...flags.slice(0, at6), ...flags.slice(at6 + 2), "--epochs", "1"])).toMatchObject({
    code: 0,
  });
  use("epochs");
  expect(await ended()).toMatchObject({ steps: 6, ending: "finished" });
  expect(await ended({ epochs: "2" })).toBeUndefined();
});

test("without the best checkpoint an adapter of the best is no longer known to be it", async () => {
  remove("checkpoints", `step-${await bestStep()}`);
  expect(await ended()).toBeUndefined();
  const { notes } = await verified();
  expect(notes).toContainEqual(
    expect.stringMatching(
      /^the checkpoint of step \d of 6, with the lowest held-out loss, .* is gone, so the adapter was compared with the last one$/,
    ),
  );
});

test("all of a run that was left alone is right, and is named [T-B1]", async () => {
  const best = await bestStep();
  const { checked, problems, notes, chain } = await verified();
  expect([problems, notes]).toEqual([[], []]);
  expect(checked).toEqual(
    [
      "receipt.jsonl: 14 lines, each linked to the one before",
      "metrics.jsonl: 13 losses are those of the receipt",
      ...[6, 5, 4, 3, 2, 1].map(
        (step) => `step-${step}: all files as published, parameters and moments of the receipt`,
      ),
      `adapter: it is that of the best checkpoint, step ${best}`,
    ].filter((line) => !line.startsWith("step-") || checked.includes(line)),
  );
  expect(chain).toMatch(/^[0-9a-f]{64}$/);
});

test("a receipt is read step by step: gaps, steps that are missing or twice, what was passed over or accepted [T-B1]", async () => {
  const linesAt = (step: number, lines: (body: never) => readonly object[]) =>
    changeReceipt(
      run,
      (body) => (body.event === "step" && body.step === step ? lines(body as never) : [body]) as never,
    );
  linesAt(3, () => []);
  expect((await verified()).problems).toContain("receipt.jsonl: step 4 follows step 2");
  use("best");
  linesAt(3, () => [{ event: "gap", step: 3, before: "a".repeat(64) }]);
  const gap = await verified();
  expect(gap.notes).toContain("receipt.jsonl: steps 3 to 3 are missing, it goes on from the checkpoint of 3");
  expect(gap.problems.join()).not.toContain("follows step");
  use("best");
  linesAt(3, (body) => [body, body]);
  expect((await verified()).problems).toContain("receipt.jsonl: step 3 follows step 3");
  use("best");
  linesAt(3, () => [{ event: "void", step: 3, reason: "NaN" }]);
  const voided = await verified();
  expect(voided.notes).toContain("step 3 was skipped: NaN");
  expect(voided.problems.join()).not.toContain("follows step");
  use("best");
  linesAt(3, (body) => [{ event: "accepted", step: 2, field: "node", was: "v1", is: "v2" }, body]);
  expect((await verified()).notes).toContain("after step 2 node became v2, which was accepted");
  use("best");
  linesAt(3, ({ event, step, loss, params }) => [{ event, step, loss, params }]);
  expect((await verified()).problems).toContain("receipt.jsonl: step 3 has no digest of the moments");
});

test("a receipt without its beginning, broken, cut off or lost is reported as what it is [T-B1]", async () => {
  changeReceipt(run, (body) => (body.event === "start" ? [] : [body]));
  expect((await verified()).problems).toContain("receipt.jsonl: it does not begin with the start of the run");
  use("best");
  const text = textOf(run, "receipt.jsonl");
  writeFileSync(join(run, "receipt.jsonl"), text.replace('"step":4', '"step":9'));
  expect((await verified()).problems[0]).toMatch(
    /^receipt\.jsonl: line \d+ is not linked to the one before, so what follows it proves nothing$/,
  );
  writeFileSync(join(run, "receipt.jsonl"), text.slice(0, -9));
  expect((await verified()).notes[0]).toBe(
    "receipt.jsonl: its last line is cut off, as a power cut may leave it; a resume mends that",
  );
  remove("receipt.jsonl");
  const lost = await verified();
  expect(lost.problems).toContain("receipt.jsonl is missing: nothing proves the numbers of the checkpoints");
  expect(lost.chain).toBeUndefined();
  remove("checkpoints");
  const nothing = await verified();
  expect(nothing.problems).toEqual([]);
  expect(nothing.notes).toEqual(expect.arrayContaining(["there is no receipt.jsonl", "there is no checkpoint"]));
});

test("losses that the metrics lost are a note, lines that cannot be read a problem", async () => {
  const lines = textOf(run, "metrics.jsonl").trimEnd().split("\n");
  writeFileSync(join(run, "metrics.jsonl"), `${lines.slice(2).join("\n")}\n`);
  const { notes, checked, problems } = await verified();
  expect(notes).toContain("metrics.jsonl: 2 losses of the receipt are not in it");
  expect(checked).toContain("metrics.jsonl: 11 losses are those of the receipt");
  expect(problems).toEqual([]);
  writeFileSync(join(run, "metrics.jsonl"), "x\ny\n");
  expect((await verified()).problems).toEqual(["metrics.jsonl: 2 lines cannot be read"]);
  expect((await verified()).checked.join()).not.toContain("metrics.jsonl");
});

test("a config that is not the run's is found out; changes that were accepted lead back to it", async () => {
  const config = JSON.parse(textOf(run, "config.json")) as { lr: number };
  writeFileSync(join(run, "config.json"), JSON.stringify({ ...config, lr: 0.5 }));
  expect((await verified()).problems).toEqual(["config.json: it is not that which the run began with"]);
  writeFileSync(join(run, "config.json"), JSON.stringify({ ...config, keepCheckpoints: 1 }));
  expect((await verified()).problems).toEqual([]);
  writeFileSync(join(run, "config.json"), JSON.stringify(config));
  writeFileSync(join(run, "accepted.json"), "{");
  expect((await verified()).problems.join()).toMatch(/accepted\.json/);
});

test("an adapter that names another base, or one that has moved, is the same adapter, and that is said", async () => {
  const path = join(run, "adapter", "adapter_config.json");
  for (const name of ["adapter_config.json", "README.md"]) {
    const text = readFileSync(join(run, "adapter", name), "utf8");
    writeFileSync(join(run, "adapter", name), text.replaceAll(place.base, "/elsewhere/base"));
  }
  const { problems, notes } = await verified();
  expect(problems).toEqual([]);
  expect(notes).toEqual(["adapter: it names /elsewhere/base as its base, which has moved since or was never there"]);
  writeFileSync(path, "{");
  expect((await verified()).problems.join()).toContain("adapter/adapter_config.json is not that of");
});

test("an adapter of the last state is another one than that of the best", async () => {
  copyOf(
    place,
    "best/checkpoints/step-6/adapter_model.safetensors",
    `${run.slice(at("").length)}/adapter/adapter_model.safetensors`,
  );
  expect((await verified()).problems).toEqual([
    expect.stringMatching(/^adapter\/adapter_model\.safetensors is not that of the best checkpoint, step \d$/),
  ]);
  mkdirSync(join(run, "adapter", "more"));
  remove("adapter", "README.md");
  expect((await verified()).problems).toContainEqual(
    expect.stringMatching(/^adapter\/README\.md is missing, unlike in the best checkpoint, step \d$/),
  );
});

test("prompts that a checkpoint writes otherwise than the run's config are found out", async () => {
  const config = JSON.parse(textOf(run, "config.json")) as object;
  writeFileSync(join(run, "config.json"), JSON.stringify({ ...config, template: "plain" }));
  expect((await verified()).problems).toEqual(
    expect.arrayContaining(["step-6: its zerogate.json is not that of the run's config"]),
  );
  writeFileSync(join(run, "config.json"), JSON.stringify({ ...config, bos: "named" }));
  expect((await verified()).problems).toEqual(
    expect.arrayContaining(["step-6: its zerogate.json is not that of the run's config"]),
  );
  // A template file that is gone says nothing against it.
  writeFileSync(join(run, "config.json"), JSON.stringify({ ...config, template: join(run, "gone.json") }));
  expect((await verified()).problems).not.toContain("step-6: its zerogate.json is not that of the run's config");
});
