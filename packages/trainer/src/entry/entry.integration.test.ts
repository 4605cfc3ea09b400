/** The library: what the commands do, without a terminal. */
import { cpSync, existsSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isZerogateError } from "@zerogate/core";
import type { TrainConfig } from "@zerogate/run-config";
import { lockRun } from "@zerogate/run-files";
import { beforeAll, expect, test } from "vitest";
import { adapterHash, checkpointsIn, openPlace, sixSteps } from "../../../zerogate/test/here.ts";
import {
  answer,
  answerAll,
  openModel,
  planRun,
  type RunSettings,
  resume,
  rewind,
  runConfig,
  train,
  verify,
} from "../index.ts";

const place = openPlace();
const { at } = place;

/** The run of `sixSteps`, as a program writes it. */
const sixStepsOf = (out: string, changes: Partial<RunSettings> = {}): TrainConfig =>
  runConfig({
    model: at("base"),
    engine: "reference",
    data: at("data.json"),
    validationData: at("held.json"),
    out: at(out),
    cacheDir: at("cache"),
    seed: 7,
    steps: 6,
    batchSize: 4,
    maxLength: 128,
    cellTokens: 128,
    reportAnswers: 0,
    workers: 1,
    saveEvery: 2,
    evalEvery: 3,
    ...changes,
  });

const calls: string[] = [];
const threeSteps = ["step", "step", "step", "validation"];

beforeAll(async () => {
  const listener = {
    opened: ({ out }: TrainConfig) => calls.push(`opened ${out === at("whole")}`),
    start: (step: number) => calls.push(`start ${step}`),
    metrics: (line: object) => calls.push("event" in line ? "validation" : "step"),
    checkpoint: () => calls.push("checkpoint"),
    ended: ({ steps }: { readonly steps: number }) => calls.push(`ended ${steps}`),
    closed: () => calls.push("closed"),
  };
  const result = await train(sixStepsOf("whole"), listener);
  expect(result).toMatchObject({ ending: "finished", steps: 6, adapterFolder: at("whole/adapter"), report: undefined });
});

test("train gives the bits of the command, calls its listener in order, and writes a report only for who makes one", async () => {
  expect(await place.run(sixSteps(place, "by-command"))).toMatchObject({ code: 0 });
  expect(adapterHash(at("whole"))).toBe(adapterHash(at("by-command")));
  expect(calls.filter((call) => call !== "checkpoint")).toEqual([
    "opened true",
    "start 0",
    "validation",
    ...threeSteps,
    ...threeSteps,
    "closed",
    "ended 6",
  ]);
  expect(calls).toContain("checkpoint");
  expect(existsSync(at("by-command/report.html"))).toBe(true);
  expect(existsSync(at("whole/report.html"))).toBe(false);

  const report = async (_: string, { title }: { readonly title: string }) => `a page of ${title}`;
  expect(await train(sixStepsOf("shown"), { report })).toMatchObject({ report: "a page of shown" });
});

test("an aborted signal ends a run with all of it saved, and resume goes on to the same bits", async () => {
  const stop = new AbortController();
  const metrics = ({ step }: { readonly step: number }) => step === 4 && stop.abort();
  const stopped = await train(sixStepsOf("half"), { metrics: (line) => void metrics(line) }, { signal: stop.signal });
  expect(stopped).toMatchObject({ ending: "interrupted", steps: 4 });
  expect(checkpointsIn(at("half")).at(-1)).toBe("step-4");
  const opened: string[] = [];
  const done = await resume(at("half"), { workers: 2 }, { opened: ({ out }) => void opened.push(out) });
  expect(opened).toEqual([at("half")]);
  expect(done).toMatchObject({ ending: "finished", steps: 6 });
  expect(done.hadEnded).toBeUndefined();
  expect(adapterHash(at("half"))).toBe(adapterHash(at("whole")));
});

test("a run that has ended is left as it is, with or without a report", async () => {
  const before = readFileSync(at("whole/receipt.jsonl"));
  expect(await resume(at("whole"))).toMatchObject({ hadEnded: true, steps: 6, report: undefined });
  expect(readFileSync(at("whole/receipt.jsonl"))).toEqual(before);
  // Who writes reports gets the one that is missing.
  expect(await resume(at("whole"), {}, { report: async () => "written" })).toMatchObject({ report: "written" });
});

test("planRun checks all and writes nothing", async () => {
  const warnings: string[] = [];
  const { config, inputs } = await planRun(sixStepsOf("planned"), { warn: (message) => void warnings.push(message) });
  expect(config.out).toBe(at("planned"));
  expect(inputs.totalSteps).toBe(6);
  expect(existsSync(at("planned"))).toBe(false);
});

test("planRun refuses a folder that holds a run, or that another process writes to", async () => {
  await expect(planRun(sixStepsOf("whole"))).rejects.toThrow(/whole/);
  const lock = await lockRun(at("locked"), () => {});
  await expect(planRun(sixStepsOf("locked"))).rejects.toThrow("is writing to it");
  await lock.release();
});

test("verify keeps to a run's --no-links", async () => {
  cpSync(at("whole/adapter"), at("first"), { recursive: true });
  await train(sixStepsOf("sealed", { initAdapter: at("first"), links: false }));
  expect(await verify(at("sealed"))).toMatchObject({ ok: true });
  renameSync(at("first/adapter_model.safetensors"), at("elsewhere.safetensors"));
  symlinkSync(at("elsewhere.safetensors"), at("first/adapter_model.safetensors"));
  await expect(verify(at("sealed"))).rejects.toThrow("elsewhere.safetensors");
});

test("errors have codes, and a refused start leaves nothing behind", async () => {
  const codeOf = async (work: Promise<unknown>) =>
    await work.then(
      () => "none",
      (error: unknown) => (["input", "damaged"] as const).find((code) => isZerogateError(error, code)) ?? error,
    );
  expect(await codeOf(train(sixStepsOf("whole")))).toBe("input");
  expect(await codeOf(train(sixStepsOf("new/place", { maxLength: 4096 })))).toBe("input");
  expect(existsSync(at("new"))).toBe(false);
  const traits = '{ computes: ["f32"], storages: ["as-is"], weightDtypes: ["f32"] }';
  const description = `{ names: ["broken"], devices: () => [], traits: () => (${traits}), setup: () => ({}) }`;
  // Described here, and not to be loaded by a worker: this start is refused once its folder is there.
  const load = 'import { isMainThread } from "node:worker_threads"; if (!isMainThread) throw new Error("not today");';
  writeFileSync(
    at("broken.mjs"),
    `${load}\nexport const description = ${description};\nexport const createEngine = () => {};`,
  );
  const refused = train(sixStepsOf("new/place", { engine: at("broken.mjs") }));
  await expect(refused).rejects.toThrow("not today");
  expect(await codeOf(refused)).toBe("input");
  expect(existsSync(at("new"))).toBe(false);
  expect(await codeOf(resume(at("nowhere")))).toBe("input");
  expect(await codeOf(resume(at("half"), {}, {}, { accept: ["tokeniser"] }))).toBe("input");
  expect(await codeOf(resume(at("half"), { seed: 8 }))).toBe("input");
  await place.run(sixSteps(place, "damaged", { "--steps": "2" }));
  writeFileSync(join(at("damaged"), "receipt.jsonl"), "");
  expect(await codeOf(resume(at("damaged"), { steps: 6 }, {}, { accept: ["steps"] }))).toBe("damaged");
});

test("settings are named by their keys, all problems at once, and what is given is kept", () => {
  const needed = { model: "base", data: "data.json", out: "run" };
  const wrong = { ...needed, batchSize: 0, schedule: "step" as never, epoch: 3 };
  expect(() => runConfig(wrong)).toThrow(
    /batchSize is 0, expected.*\n.*schedule is "step"|schedule is "step".*\n.*batchSize is 0/s,
  );
  expect(() => runConfig(wrong)).toThrow('unknown key "epoch": did you mean "epochs"?');
  const config = runConfig({ ...needed, workers: 3, preset: "paper", steps: 9 });
  expect(config).toMatchObject({ workers: 3, steps: 9, beta2: 0.95, data: [join(process.cwd(), "data.json")] });
  expect(config.epochs).toBeUndefined();
});

test("verify finds a run as it was written, does its steps again, and says what differs", async () => {
  const whole = await verify(at("half"), {}, { replay: { from: 5, to: 6 } });
  expect(whole).toMatchObject({ ok: true, problems: [], replay: { start: 4, same: 2, difference: undefined } });
  await place.run(sixSteps(place, "changed"));
  const path = join(at("changed"), "metrics.jsonl");
  writeFileSync(path, readFileSync(path, "utf8").replace(/"loss":\d/, '"loss":9'));
  expect(await verify(at("changed"))).toMatchObject({ ok: false, replay: undefined });
});

test("rewind makes an earlier checkpoint the newest", async () => {
  await place.run(sixSteps(place, "rewound"));
  expect(await rewind(at("rewound"), 3)).toMatchObject({ moved: [6, 4] });
  expect(checkpointsIn(at("rewound")).at(-1)).toBe("step-3");
});

test("a model answers one question as it comes, and several at once with the same texts", async () => {
  const opened = await openModel({ engine: "reference", adapters: [`${at("half")}=own`] });
  expect(opened.model.adapterNames).toEqual(["own"]);
  const [colour, number] = [{ instruction: "Name a colour." }, { instruction: "Count", input: "to three" }];
  const options = { maxNewTokens: 5 };
  const parts: string[] = [];
  const stream = answer(opened, colour, options);
  let next = await stream.next();
  for (; !next.done; next = await stream.next()) parts.push(next.value);
  expect(parts.join("")).toBe(next.value.text);
  expect(next.value.ids.length).toBeLessThanOrEqual(5);
  const all = await answerAll(opened, [colour, number], [null, "own"], options);
  expect(all.map((answers) => answers.length)).toEqual([2, 2]);
  expect(all[0]?.[1]).toEqual(next.value);
  // Prompt and answer together: one token is left for the answer.
  const [[short] = []] = await answerAll(opened, [colour], ["own"], { maxTokens: 3 });
  expect(short?.ids.length).toBeLessThanOrEqual(1);
});
