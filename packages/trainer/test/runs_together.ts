/** Several runs on one base in one pool, and each of them alone. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { resolveConfig, type TrainConfig } from "@zerogate/run-config";
import { lockRun } from "@zerogate/run-files";
import { expect } from "vitest";
import { checkpointsIn, linesOf, openPlace, textOf } from "../../zerogate/test/here.ts";
import type { RunContext } from "../src/run/context.ts";
import { openInputs } from "../src/run/inputs.ts";
import { openCheckpoint } from "../src/run/resume.ts";
import { executeRun, executeRuns } from "../src/run/run.ts";
import { createRunFolder } from "../src/run/run_folder.ts";
import type { RunView } from "../src/run/view.ts";
import { noLock } from "../src/team/other_ranks.ts";
import type { Team } from "../src/team/team.ts";
import { localTeams } from "./local_ranks.ts";

const { at: place, base } = openPlace();
export const at = place;
export const data = at("data.json");
/** The only base here with numbers in BF16, as what poisons one token needs. */
export const world = fileURLToPath(new URL("../world/base", import.meta.url));

/** Two runs that differ in all that a job is: shape, start, learning rate, batches, length, validations. */
export const slow = {
  adapterLayers: "2",
  adapterLen: "4",
  batchSize: "8",
  epochs: "2",
  seed: "7",
  lr: "0.01",
  evalEvery: "2",
};
export const fast = {
  adapterLayers: "1",
  adapterLen: "2",
  batchSize: "6",
  epochs: "1",
  seed: "9",
  lr: "0.3",
  evalEvery: "1",
};

export const configOf = (out: string, flags: Readonly<Record<string, string>>): TrainConfig =>
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

export interface Started extends RunContext {
  /** Lines that its view got. */
  readonly told: string[];
}

/** @param on called with every line of the view */
export async function given(
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
    samples() {},
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

export const teamOfOne = () => localTeams(1).teams[0] as Team;
export const adapterOf = ({ config }: RunContext) =>
  readFileSync(join(config.out, "adapter/adapter_model.safetensors"));
export const receiptOf = ({ config }: RunContext) => textOf(config.out, "receipt.jsonl");
export const release = (runs: readonly RunContext[]) => Promise.all(runs.map(({ lock }) => lock.release()));

export async function alone(out: string, flags: Readonly<Record<string, string>>): Promise<Started> {
  const run = await given(configOf(out, flags), teamOfOne());
  await executeRun(run);
  await release([run]);
  return run;
}

/** Runs these on two ranks at once; returns what rank 0 was given, and the names of its meetings. */
export async function onTwoRanks(configs: readonly TrainConfig[]) {
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

/** The view of one of two runs throws at this line: the other saves its step, and both go on to the same bits. */
export async function expectBothGoOn(fatal: string): Promise<void> {
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
}
