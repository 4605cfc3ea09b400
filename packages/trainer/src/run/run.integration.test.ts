/** A whole run with what may happen to it at its end: another writer, a disk that refuses, a best state that is lost. */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InputError, parameterCount, trainableLine } from "@zerogate/core";
import { verifyDirectory } from "@zerogate/core/node";
import { resolveConfig } from "@zerogate/run-config";
import { loadCheckpoint, lockRun, saveCheckpoint } from "@zerogate/run-files";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { checkpointsIn, linesOf, openPlace, sixSteps, textOf } from "../../../zerogate/test/here.ts";
import { localTeams } from "../../test/local_ranks.ts";
import type { OpenTeam } from "../team/team.ts";
import { openInputs, type RunInputs } from "./inputs.ts";
import type { ReportData } from "./report_data.ts";
import { openCheckpoint } from "./resume.ts";
import { executeRun } from "./run.ts";
import { createRunFolder } from "./run_folder.ts";
import type { RunView } from "./view.ts";

/** A report of its title and counts alone: the page is the command's. */
async function noteReport(runDir: string, { title, summary }: ReportData): Promise<string> {
  const path = join(runDir, "report.html");
  writeFileSync(path, `${title}: ${summary.trainedParameters}`);
  return path;
}

const place = openPlace();
const { at } = place;
const configOf = (out: string, flags: Readonly<Record<string, string>> = {}) => {
  const [, ...words] = sixSteps(place, out, {
    "--keep-checkpoints": "9",
    "--adapter-layers": "2",
    "--disk-patience": "0",
    ...flags,
  });
  const pairs = words.slice(0, -1).flatMap((word, i, all) => (i % 2 === 0 ? [[camel(word), all[i + 1]]] : []));
  const given = Object.fromEntries(pairs) as Record<string, string>;
  return resolveConfig({ flags: { ...given, data: [given["data"]], validationData: [given["validationData"]] } });
};
const camel = (flag: string) => flag.slice(2).replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());

const idle = { "--workers": "3", "--cell-multiple": "0" };
const far = { "--lr": "60", "--eval-every": "1", "--save-every": "1" };
/** Of a small learning rate, of one that is far too large, and of more workers than a step has cells. */
let inputs: RunInputs;
let farInputs: RunInputs;
let idleInputs: RunInputs;
let run: string;
let count = 0;
beforeAll(async () => {
  const progress = { onPhase() {}, onWarning() {}, signal: new AbortController().signal };
  inputs = await openInputs(configOf("inputs"), progress);
  farInputs = await openInputs(configOf("inputs", far), progress);
  idleInputs = await openInputs(configOf("inputs", idle), progress);
});
beforeEach(() => {
  run = at(`run-${count++}`);
});

interface Hooks {
  /** Called with every line that the view gets: `step 3`, `eval 3`, `saved 4`, `phase …`, `warn …`. */
  readonly on?: (line: string, stop: () => void) => void;
  readonly flags?: Readonly<Record<string, string>>;
  readonly isResumed?: boolean;
}

async function start({ on = () => {}, flags, isResumed = false }: Hooks = {}) {
  const config = { ...configOf("inputs", flags), out: run };
  const own = flags === far ? farInputs : flags === idle ? idleInputs : inputs;
  const told: string[] = [];
  const stop = new AbortController();
  const tell = (line: string) => {
    told.push(line);
    on(line, () => stop.abort());
  };
  const view: RunView = {
    phase: (phase) => tell(`phase ${phase?.name ?? "over"}`),
    start: (step) => tell(`start ${step}`),
    metrics: (line, report) => tell(`${"event" in line ? line.event : "step"} ${line.step}${report ? "" : " alone"}`),
    checkpoint: (folder) => tell(`saved ${folder.replace(/^.*step-/, "")}`),
    warn: (message) => tell(`warn ${message.replaceAll("\n", " ")}`),
    note: (message) => tell(`note ${message}`),
    report: noteReport,
    failed: (message) => tell(`failed ${message}`),
    samples() {},
    device() {},
  };
  if (!isResumed) await createRunFolder(config);
  const lock = await lockRun(run, () => {});
  try {
    const wish = { config, accept: [], onWarning: view.warn, onNote: view.note };
    const from = isResumed ? await openCheckpoint(own, wish) : undefined;
    const team = localTeams(1).teams[0] as OpenTeam;
    const asked = { signal: stop.signal, saveRequests: { count: 0 } };
    const result = await executeRun({ config, inputs: own, from, view, lock, team, ...asked });
    return { result, told, error: undefined };
  } catch (error) {
    return { result: undefined, told, error: error as Error };
  } finally {
    await lock.release();
  }
}
const has = (name: string) => existsSync(join(run, name));
/** Another process takes the run over while this one did not look. */
const takeOver = () => {
  writeFileSync(join(run, "lock-2"), JSON.stringify({ ...JSON.parse(textOf(run, "lock-1")), host: "elsewhere" }));
  rmSync(join(run, "lock-1"));
};

test("a run tells its data, its devices, each step with its report, what it saved, and how it compares", async () => {
  const { result, told } = await start();
  expect(told.filter((line) => !line.startsWith("saved"))).toEqual([
    "note data: 24 of 24 records are used",
    "note validation data: 4 of 4 records are used",
    "phase starting workers",
    "phase over",
    "start 0",
    "eval 0 alone",
    "step 1",
    "step 2",
    "step 3",
    "eval 3 alone",
    "step 4",
    "step 5",
    "step 6",
    "eval 6 alone",
    "phase comparing base and adapter",
    "phase over",
  ]);
  expect(told.filter((line) => line.startsWith("saved")).toSorted()).toEqual(
    checkpointsIn(run).map((name) => name.replace("step-", "saved ")),
  );
  expect(result).toMatchObject({
    ending: "finished",
    steps: 6,
    adapterFolder: join(run, "adapter"),
    report: join(run, "report.html"),
    samples: [],
    unmoved: [],
  });
  expect(result?.durationMs).toBeGreaterThan(0);
  expect(result?.adapter?.loss).not.toBe(result?.base?.loss);
  const trainable = inputs.layout.length;
  const line = trainableLine({ trainable, all: parameterCount(inputs.model) + trainable });
  expect(textOf(run, "report.html")).toBe(`run-${count - 1}: ${line}`);
  expect(linesOf(run, "receipt.jsonl").at(0)).toMatchObject({ event: "start", version: 2, engine: "reference" });
});

test("workers that have nothing to do are named at the start, with what would keep them busy", async () => {
  const { told } = await start({ flags: idle });
  expect(told.slice(0, told.indexOf("start 0")).filter((line) => line.includes("busy"))).toEqual([
    "note 3 workers are busy 47% of the time with a batch of 4: --batch-size 8 --cell-multiple 3 gives 90%",
  ]);
});

test("a run that is stopped after a step has its checkpoint, no adapter and no comparison", async () => {
  const { result } = await start({ on: (line, stop) => line === "step 3" && stop() });
  expect(result).toMatchObject({ ending: "interrupted", steps: 3, samples: [], unmoved: [] });
  expect(result).not.toHaveProperty("adapterFolder");
  expect([has("adapter"), has("report.html"), checkpointsIn(run).includes("step-3")]).toEqual([false, false, true]);
  const rest = await start({ isResumed: true });
  expect(rest.result).toMatchObject({ ending: "finished", steps: 6 });
  expect(rest.told).toContain("start 3");
});

test("if another process took the run over before the adapter was written, none is", async () => {
  const { error } = await start({ on: (line) => line === "saved 6" && takeOver() });
  expect(error?.message).toContain("elsewhere, since ");
  expect([has("adapter"), has("report.html")]).toEqual([false, false]);
});

test("if another process took the run over while base and adapter were compared, no report is written", async () => {
  const { error } = await start({ on: (line) => line === "phase comparing base and adapter" && takeOver() });
  expect(error).toBeInstanceOf(InputError);
  expect([has("adapter"), has("report.html")]).toEqual([true, false]);
});

test("a last checkpoint that the disk refuses is put elsewhere, with what to do, and the run fails", async () => {
  const { error } = await start({
    on(line) {
      if (line !== "step 6") return;
      renameSync(join(run, "checkpoints"), join(run, "away"));
      writeFileSync(join(run, "checkpoints"), "in the way");
    },
  });
  const [, rescued = ""] =
    / is saved as (\S+): move that into \S+checkpoints and resume, /.exec(error?.message ?? "") ?? [];
  expect(error?.message).toMatch(/^Cannot save the last checkpoint in \S+: /);
  expect(await verifyDirectory(rescued)).toEqual([]);
  expect((await loadCheckpoint(rescued, inputs.model)).state.step).toBe(6);
  rmSync(join(rescued, "../.."), { recursive: true });
  expect(has("adapter")).toBe(false);
});

test("an adapter that cannot be written is in a checkpoint, and the error says so", async () => {
  const { error } = await start({
    on(line) {
      if (line !== "saved 6") return;
      for (const name of ["adapter", "rewound"]) writeFileSync(join(run, name), "in the way");
    },
  });
  expect(error?.message).toMatch(/^Cannot write the adapter: .*; \S+checkpoints\/step-6 holds it too$/);
});

test("the best state is delivered, as its checkpoint has it [T-D1]", async () => {
  const { result } = await start({ flags: far });
  const best = result?.best?.step ?? 0;
  expect(best).toBeLessThan(6);
  expect(result?.choice).toEqual({ from: "best", step: best, loss: result?.best?.loss, steps: 6 });
  const weights = (folder: string) => readFileSync(join(run, folder, "adapter_model.safetensors"));
  expect(weights("adapter")).toEqual(weights(`checkpoints/step-${best}`));
  expect(weights("adapter")).not.toEqual(weights("checkpoints/step-6"));
  expect(result?.adapter?.loss).toBeCloseTo(result?.best?.loss ?? 0, 6);
});

test.each(["gone", "changed"])(
  "if the best state is %s the last is delivered, and a note says so [T-D1]",
  async (how) => {
    const { result, told } = await start({
      flags: far,
      async on(line) {
        if (line !== "saved 6") return;
        const best = (linesOf(run, "metrics.jsonl") as { event?: string; step: number; loss: number }[])
          .filter(({ event, step }) => event === "eval" && step > 0)
          .reduce((a, b) => (b.loss < a.loss ? b : a)).step;
        const folder = join(run, "checkpoints", `step-${best}`);
        if (how === "gone") rmSync(folder, { recursive: true });
        else rmSync(join(folder, "state.msgpack"));
      },
    });
    expect(told).toContainEqual(
      expect.stringMatching(
        /^warn The best state, step \d of 6, .*, cannot be taken: .*: the adapter is that of the last step, 6$/,
      ),
    );
    expect(result?.choice).toEqual({ from: "last", step: 6, steps: 6 });
  },
);

test("a run whose folder vanishes makes it again with its config, at its next checkpoint", async () => {
  const vanish = () => {
    renameSync(run, `${run}.gone`); // its writer would fill it while it is emptied
    rmSync(`${run}.gone`, { recursive: true, maxRetries: 10 });
  };
  let hadLock: boolean | undefined;
  const { result, error } = await start({
    on(line) {
      if (line === "step 3") vanish();
      if (line === "saved 6") hadLock = has("lock-1");
    },
  });
  expect(error).toBeUndefined();
  expect(result).toMatchObject({ ending: "finished", steps: 6 });
  expect(hadLock).toBe(true);
  for (const name of ["config.json", "adapter", "report.html"]) expect(has(name)).toBe(true);
  expect(JSON.parse(textOf(run, "config.json"))).toMatchObject({ out: run, steps: 6 });
});

test("another engine than that of the checkpoint is refused before a line of the run is taken back", async () => {
  await start({ on: (line, stop) => line === "step 3" && stop() });
  const folder = join(run, "checkpoints", "step-3");
  const checkpoint = await loadCheckpoint(folder, inputs.model);
  rmSync(folder, { recursive: true });
  await saveCheckpoint(run, { ...checkpoint, state: { ...checkpoint.state, engine: "cpu/avx2" } });
  const metrics = textOf(run, "metrics.jsonl");
  const from = {
    checkpoint: { ...checkpoint, state: { ...checkpoint.state, engine: "cpu/avx2" } },
    accepted: [],
    accept: [],
    floor: 0,
  };
  const config = { ...configOf("inputs"), out: run };
  const quiet: RunView = {
    phase() {},
    start() {},
    metrics() {},
    checkpoint() {},
    warn() {},
    note() {},
    report: noteReport,
    failed() {},
    samples() {},
    device() {},
  };
  const lock = await lockRun(run, () => {});
  const context = {
    config,
    inputs,
    view: quiet,
    lock,
    team: localTeams(1).teams[0] as OpenTeam,
    signal: new AbortController().signal,
    saveRequests: { count: 0 },
  };
  await expect(executeRun({ ...context, from })).rejects.toThrow("engine was cpu/avx2, is reference");
  expect(textOf(run, "metrics.jsonl")).toBe(metrics);
  const accepted = await executeRun({ ...context, from: { ...from, accept: ["engine"] } });
  await lock.release();
  expect(accepted).toMatchObject({ ending: "finished", steps: 6 });
  expect(linesOf(run, "receipt.jsonl")).toContainEqual(
    expect.objectContaining({ event: "accepted", step: 3, field: "engine" }),
  );
  expect(readdirSync(run)).toContain("accepted.json");
});
