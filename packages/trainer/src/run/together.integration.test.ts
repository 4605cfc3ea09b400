/** Several runs on one base in one pool: each leaves what it leaves alone. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { resolveConfig, type TrainConfig } from "@zerogate/run-config";
import { lockRun } from "@zerogate/run-files";
import { expect, test } from "vitest";
import { withPoisonedToken } from "../../../../tests/support/hostile_model.ts";
import { checkpointsIn, linesOf, openPlace, textOf } from "../../../zerogate/test/here.ts";
import { localTeams } from "../../test/local_ranks.ts";
import { noLock } from "../team/other_ranks.ts";
import type { Team } from "../team/team.ts";
import type { RunContext } from "./context.ts";
import { openInputs } from "./inputs.ts";
import { openCheckpoint } from "./resume.ts";
import { executeRun, executeRuns } from "./run.ts";
import { createRunFolder } from "./run_folder.ts";
import type { RunView } from "./view.ts";

const { at, base } = openPlace();
const data = at("data.json");
/** The only base here with numbers in BF16, as what poisons one token needs. */
const world = fileURLToPath(new URL("../../world/base", import.meta.url));

/** Two runs that differ in all that a job is: shape, start, learning rate, batches, length, validations. */
const slow = {
  adapterLayers: "2",
  adapterLen: "4",
  batchSize: "8",
  epochs: "2",
  seed: "7",
  lr: "0.01",
  evalEvery: "2",
};
const fast = { adapterLayers: "1", adapterLen: "2", batchSize: "6", epochs: "1", seed: "9", lr: "0.3", evalEvery: "1" };

const configOf = (out: string, flags: Readonly<Record<string, string>>): TrainConfig =>
  resolveConfig({
    flags: {
      model: base,
      data: [data],
      validationData: [at("held.json")],
      out: at(out),
      cacheDir: at("cache"),
      engine: "reference",
      workers: "2",
      warmupEpochs: "0",
      keepCheckpoints: "9",
      reportAnswers: "0",
      evalAtStart: "false",
      ...flags,
    },
  });

interface Started extends RunContext {
  /** Lines that its view got. */
  readonly told: string[];
}

/** @param on called with every line of the view */
async function given(
  config: TrainConfig,
  team: Team,
  on: (line: string) => unknown = () => {},
  isFirst = true,
): Promise<Started> {
  const told: string[] = [];
  const tell = (line: string) => {
    told.push(line);
    on(line);
  };
  const view: RunView = {
    phase() {},
    start: (step) => tell(`start ${step}`),
    metrics: (line) => tell(`${"event" in line ? line.event : "step"} ${line.step}`),
    checkpoint() {},
    warn: (message) => tell(`warn ${message}`),
    note() {},
    device() {},
    failed: (message) => tell(`failed ${message}`),
    async report(runDir) {
      writeFileSync(join(runDir, "report.html"), "");
      return join(runDir, "report.html");
    },
  };
  const progress = { onPhase() {}, onWarning() {}, signal: new AbortController().signal };
  const inputs = await openInputs(config, progress);
  if (isFirst) await createRunFolder(config).catch(() => {}); // one that goes on has it
  const lock = isFirst ? await lockRun(config.out, () => {}) : noLock;
  const stop = new AbortController();
  return { config, inputs, from: undefined, view, lock, team, signal: stop.signal, saveRequests: { count: 0 }, told };
}

const teamOfOne = () => localTeams(1).teams[0] as Team;
const adapterOf = ({ config }: RunContext) => readFileSync(join(config.out, "adapter/adapter_model.safetensors"));
const receiptOf = ({ config }: RunContext) => textOf(config.out, "receipt.jsonl");
const release = (runs: readonly RunContext[]) => Promise.all(runs.map(({ lock }) => lock.release()));

async function alone(out: string, flags: Readonly<Record<string, string>>): Promise<Started> {
  const run = await given(configOf(out, flags), teamOfOne());
  await executeRun(run);
  await release([run]);
  return run;
}

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

test.each(["step 2", "eval 2"])(
  "where the view of one run throws at %s the other saves its step, and both go on to the same bits",
  async (fatal) => {
    const name = fatal.replace(" ", "-");
    const expected = [await alone(`slow-${name}`, slow), await alone(`fast-${name}`, fast)] as const;
    const team = teamOfOne();
    const failing = await given(configOf(`failing-${name}`, { ...fast, saveEvery: "1" }), team, (line) => {
      if (line === fatal) throw new Error("no room for this line");
    });
    const other = await given(configOf(`other-${name}`, { ...slow, saveEvery: "99" }), team);
    await expect(executeRuns([other, failing])).rejects.toThrow("no room for this line");
    expect(failing.told.at(-1)).toMatch(/^failed no room for this line/);
    expect(other.told.join()).not.toContain("failed");
    expect(linesOf(other.config.out, "receipt.jsonl").length).toBeGreaterThan(2);
    expect(checkpointsIn(other.config.out).length).toBeGreaterThan(0);
    await release([other, failing]);

    const resumed = await Promise.all(
      [other, failing].map(async ({ config }) => {
        const run = await given(config, team);
        const wish = { config, accept: [], onWarning() {}, onNote() {} };
        return { ...run, from: await openCheckpoint(run.inputs, wish) };
      }),
    );
    await executeRuns(resumed);
    await release(resumed);
    for (const [n, run] of resumed.entries()) expect(adapterOf(run)).toEqual(adapterOf(expected[n] as Started));
  },
);

/** Runs these on two ranks at once; returns what rank 0 was given, and the names of its meetings. */
async function onTwoRanks(configs: readonly TrainConfig[]) {
  const { teams, meetings } = localTeams(2);
  const ranks = await Promise.all(
    teams.map((team, rank) => Promise.all(configs.map((config) => given(config, team, () => {}, rank === 0)))),
  );
  const results = await Promise.all(ranks.map((runs) => executeRuns(runs)));
  const [runs = []] = ranks;
  await release(runs);
  const [first, second] = results.map((of) => of.map(({ ending, steps, adapter }) => ({ ending, steps, adapter })));
  expect(first).toEqual(second);
  return { runs, phases: meetings.map(({ phase }) => phase) };
}

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
  const { ids, offsets } = inputs.train.tokens;
  const [sample = 0] = inputs.plan.step(step).samples;
  const own = [...ids.subarray(offsets[sample], offsets[sample + 1])];
  const others = [...ids.subarray(0, offsets[sample]), ...ids.subarray(offsets[sample + 1])];
  const held = [...(inputs.heldOut?.tokens.ids ?? [])];
  const token = own.find((id) => !others.includes(id) && !held.includes(id));
  if (token === undefined) throw new Error(`sample ${sample} has no token of its own`);
  cpSync(world, at(name), { recursive: true });
  withPoisonedToken(at(name), token);
}

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
