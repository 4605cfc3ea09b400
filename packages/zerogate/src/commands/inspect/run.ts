/** What a run is and how far it has come, from its files alone. It may be running meanwhile: nothing is written, and nothing is waited for. */
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { InputError } from "@zerogate/core";
import { isBaseAt, reason, verifyDirectory } from "@zerogate/core/node";
import type { TrainConfig } from "@zerogate/run-config";
import { dataPaths, versions } from "@zerogate/run-config";
import type { RunState } from "@zerogate/run-files";
import {
  checkpointFolder,
  findWriter,
  listCheckpoints,
  type Metrics,
  metricsPath,
  readMetrics,
  type Writer,
} from "@zerogate/run-files";
import type { DataCounts } from "@zerogate/trainer";
import { checkOwnNames, readStoredConfig, totalStepsOf } from "@zerogate/trainer/command";
import { type DeliveredAdapter, deliveredAdapter } from "./delivered.ts";
import { readStateFile } from "./own_binaries.ts";
import { type LogFacts, readLogFile } from "./own_lines.ts";
import { nextCommand } from "./run_next.ts";
import { type RunStanding, standingOf } from "./run_standing.ts";

interface Loss {
  readonly step: number;
  /** Nats per labelled token. */
  readonly loss: number;
}

export interface RunFacts {
  readonly kind: "run";
  readonly path: string;
  readonly state: RunStanding["state"];
  /** Why that is its state. */
  readonly why: string;
  readonly writer?: { readonly pid: number; readonly host: string; readonly since: string } | undefined;
  /** Steps that are in its metrics; those up to `savedSteps` are in a checkpoint. */
  readonly steps: number;
  readonly savedSteps: number | undefined;
  /** Undefined if nothing says yet how many steps an epoch has. */
  readonly totalSteps: number | undefined;
  readonly epoch: number;
  readonly totalEpochs: number | undefined;
  /** Of the last step, in training. */
  readonly loss: number | undefined;
  readonly baseValidation: Loss | undefined;
  readonly bestValidation: Loss | undefined;
  readonly lastValidation: Loss | undefined;
  readonly adapter: DeliveredAdapter | undefined;
  readonly base: { readonly path: string; readonly isThere: boolean } | undefined;
  readonly dataFiles: readonly string[];
  /** What became of the records; empty if log.jsonl does not say. */
  readonly data: readonly DataCounts[];
  readonly beganAt: string | undefined;
  readonly lastAt: string | undefined;
  /** Sum over the steps. */
  readonly stepsMs: number;
  readonly remainingMs: number | undefined;
  readonly engine: string | undefined;
  readonly versions: RunState["versions"] | undefined;
  /** Steps, newest first. */
  readonly checkpoints: readonly number[];
  readonly warnings: number;
  readonly unreadableMetrics: number;
  /** What is damaged or not as a run directory should be. */
  readonly problems: readonly string[];
  /** To be typed next. */
  readonly next: string;
}

export async function inspectRun(path: string, onNote: (note: string) => void): Promise<RunFacts> {
  const problems: string[] = [];
  const config = await attempted(problems, () => readStoredConfig(path));
  await attempted(problems, () => checkOwnNames(path));
  const metrics = (await attempted(problems, async () => readMetrics(path))) ?? {
    steps: [],
    evaluations: [],
    unreadable: 0,
  };
  const log = await attempted(problems, async () => readLogFile(join(path, "log.jsonl")));
  const checkpoints = await listCheckpoints(path);
  const saved = await newestState(path, checkpoints, problems);
  const writer = (await attempted(problems, () => findWriter(path, onNote))) ?? { kind: "none" };
  const length = lengthOf(config, saved, metrics);
  const adapter = await attempted(problems, () => deliveredAdapter(path, config, saved));
  const standing = standingOf({ path, config, saved, writer, log, adapter, totalSteps: length?.totalSteps });
  const isBaseThere = config !== undefined && (await isBaseAt(config.model));
  const facts = {
    ...standing,
    ...writerFacts(writer),
    ...progressOf(metrics, saved, length),
    adapter,
    base: config && { path: config.model, isThere: isBaseThere },
    dataFiles: [...dataPaths(config?.data ?? []), ...(config?.validationData ?? [])],
    data: log?.data ?? [],
    ...(await timesOf(path, metrics, log, standing.state, length?.totalSteps)),
    engine: saved?.engine,
    versions: saved?.versions,
    checkpoints,
    warnings: log?.levels["warn"] ?? 0,
    unreadableMetrics: metrics.unreadable,
    problems,
  };
  const next = nextCommand({
    path,
    ...standing,
    adapter,
    isBaseThere,
    isConfigRead: config !== undefined,
    saved,
    current: versions,
  });
  return { kind: "run", path, ...facts, next };
}

/** Notes what cannot be read, so that the rest is shown all the same. */
async function attempted<T>(problems: string[], read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    problems.push(error instanceof InputError ? error.message : reason(error));
    return undefined;
  }
}

/** The state of the newest whole checkpoint; one that disappears meanwhile was pruned by the run. */
async function newestState(path: string, steps: readonly number[], problems: string[]): Promise<RunState | undefined> {
  for (const step of steps) {
    const folder = checkpointFolder(path, step);
    try {
      const damage = await verifyDirectory(folder);
      if (damage.length === 0) return await readStateFile(join(folder, "state.msgpack"));
      if (existsSync(folder)) problems.push(`${basename(folder)} is damaged: ${damage.join("; ")}`);
    } catch (error) {
      if (existsSync(folder)) problems.push(`${basename(folder)}: ${reason(error)}`);
    }
  }
  return undefined;
}

interface Length {
  readonly totalSteps: number;
  readonly totalEpochs: number;
}

/** How long the run is to be: a step and its epoch say how many steps an epoch has. */
function lengthOf(
  config: TrainConfig | undefined,
  saved: RunState | undefined,
  { steps }: Metrics,
): Length | undefined {
  const known = saved !== undefined && saved.step > 0 ? saved : steps.at(-1);
  if (!config || !known || !(known.epoch > 0)) return undefined;
  const perEpoch = Math.round(known.step / known.epoch);
  const totalSteps = totalStepsOf(config, perEpoch);
  return { totalSteps, totalEpochs: totalSteps / perEpoch };
}

function progressOf(
  { steps, evaluations }: Metrics,
  saved: RunState | undefined,
  length: Length | undefined,
): Pick<
  RunFacts,
  "steps" | "savedSteps" | "totalSteps" | "epoch" | "totalEpochs" | "loss" | `${"base" | "best" | "last"}Validation`
> {
  const last = steps.at(-1);
  const validations = evaluations.map(({ step, loss }) => ({ step, loss }));
  const ofRun = validations.filter(({ step }) => step > 0);
  const best = ofRun.reduce<Loss | undefined>((a, b) => (a && a.loss <= b.loss ? a : b), undefined);
  return {
    steps: Math.max(last?.step ?? 0, saved?.step ?? 0),
    savedSteps: saved?.step,
    totalSteps: length?.totalSteps,
    epoch: Math.max(last?.epoch ?? 0, saved?.epoch ?? 0),
    totalEpochs: length?.totalEpochs,
    loss: last?.loss,
    baseValidation: validations.find(({ step }) => step === 0),
    bestValidation: best ?? saved?.best,
    lastValidation: ofRun.at(-1),
  };
}

async function timesOf(
  path: string,
  { steps }: Metrics,
  log: LogFacts | undefined,
  state: RunStanding["state"],
  totalSteps: number | undefined,
): Promise<Pick<RunFacts, "beganAt" | "lastAt" | "stepsMs" | "remainingMs">> {
  const changed = async (file: string) =>
    await stat(file).then(
      ({ mtime }) => mtime.toISOString(),
      () => undefined,
    );
  const done = steps.at(-1)?.step ?? 0;
  const recent = steps.slice(-RECENT_STEPS).map(({ stepMs }) => stepMs);
  const perStep = recent.reduce((sum, ms) => sum + ms, 0) / Math.max(1, recent.length);
  const isGoingOn = state === "running" && totalSteps !== undefined && recent.length > 0;
  return {
    beganAt: log?.firstAt ?? (await changed(join(path, "config.json"))),
    lastAt: (await changed(metricsPath(path))) ?? log?.lastAt,
    stepsMs: steps.reduce((sum, { stepMs }) => sum + stepMs, 0),
    remainingMs: isGoingOn ? perStep * (totalSteps - done) : undefined,
  };
}

/** Over which the time of a step is averaged. */
const RECENT_STEPS = 50;

function writerFacts(writer: Writer): Pick<RunFacts, "writer"> {
  if (!("record" in writer) || writer.record === undefined) return {};
  const { pid, host, since } = writer.record;
  return { writer: { pid, host, since } };
}
