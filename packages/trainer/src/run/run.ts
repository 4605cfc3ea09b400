/**
 * A training run from checked inputs to the finished adapter: opens the devices, runs the loop, keeps metrics and checkpoints,
 * and leaves `RUN/adapter` (a PEFT folder) and `RUN/report.html`.
 */
import { existsSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parameterCount, trainableLine } from "@zerogate/core";
import type { DevicePool } from "@zerogate/workers";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { checkpointFolder } from "../checkpoint/folders.ts";
import type { RunState, VoidedStep } from "../checkpoint/run_state.ts";
import type { SharedNumbers } from "../checkpoint/write_worker.ts";
import { type CheckpointWriter, openCheckpointWriter } from "../checkpoint/writer.ts";
import { configHash } from "../config/identity.ts";
import type { TrainConfig } from "../config/train_config.ts";
import { patiently } from "../files/patience.ts";
import { createTrouble, messageOf } from "../files/trouble.ts";
import { metricsPath, openMetrics, readMetrics } from "../metrics/metrics_file.ts";
import type { MetricsLine } from "../metrics/records.ts";
import { openEventFile } from "../metrics/tensorboard.ts";
import { paramsDigest } from "../receipt/receipt.ts";
import { openReceipt, receiptPath } from "../receipt/receipt_file.ts";
import type { SampleAnswer } from "../report/data.ts";
import { writeReport } from "../report/render.ts";
import { noRecords, noWriter } from "../team/other_ranks.ts";
import { checkAlike, LOADING_PATIENCE } from "../team/same_everywhere.ts";
import type { Team } from "../team/team.ts";
import { openTeamPool } from "../team/team_pool.ts";
import { versions } from "../version.ts";
import { startDevices } from "./devices.ts";
import { adamWUpdateFor } from "./engines.ts";
import { type EvaluationResult, evaluateHeldOut } from "./evaluate.ts";
import { saveFinalAdapter } from "./final_adapter.ts";
import { goBack, voidRange } from "./go_back.ts";
import type { RunInputs } from "./inputs.ts";
import type { RunLock } from "./lock.ts";
import { type Ending, type Rollback, type RunControl, type Standing, trainLoop } from "./loop.ts";
import { type AcceptedChange, acceptEngine, type ResumePoint } from "./resume.ts";
import { createRunFolder } from "./run_folder.ts";
import { answerSamples } from "./samples.ts";
import { optimizerOptions, sharedNumbers, takeUp } from "./training_state.ts";
import { unmovedParts } from "./unmoved.ts";
import type { RunView } from "./view.ts";

/** Names the parameters at the end: no step has this name, whatever a run that went back has seen. */
const FINAL_VERSION = -1;

/** How long a run that an error ends waits for a disk that refuses. */
const LAST_PATIENCE_MS = 1000;

/** What a run is given by its command. */
export interface RunContext {
  readonly view: RunView;
  readonly control: RunControl;
  readonly lock: RunLock;
  readonly team: Team;
}

/** What stays the same over the sessions of a run. */
interface Running {
  readonly config: TrainConfig;
  readonly inputs: RunInputs;
  readonly numbers: SharedNumbers;
  readonly pool: DevicePool;
  readonly writer: CheckpointWriter;
  readonly view: RunView;
  readonly control: RunControl;
  readonly team: Team;
}

interface SessionStart {
  readonly from: Checkpoint | undefined;
  readonly accepted: readonly AcceptedChange[];
  readonly voided: readonly VoidedStep[];
  /** How often this run went back, in this process. */
  readonly rollbacks: number;
  /** No rollback goes further back than to so many steps done: other settings held before, which were changed by consent. */
  readonly floor: number;
}

export interface RunResult {
  /** Only rank 0 has written, and tells people what came out. */
  readonly isFirst: boolean;
  readonly ending: Ending;
  readonly steps: number;
  /** Absent where nothing is held out, or where the run was interrupted. */
  readonly base?: EvaluationResult | undefined;
  readonly adapter?: EvaluationResult | undefined;
  readonly best?: Standing["best"];
  readonly samples: readonly SampleAnswer[];
  /** Prompts and gates that training left as they were, in words. */
  readonly unmoved: readonly string[];
  /** Folder of the trained adapter; absent where the run was interrupted. */
  readonly adapterFolder?: string | undefined;
  readonly report?: string | undefined;
  readonly durationMs: number;
}

/**
 * @param from the checkpoint to go on from; none for a new run.
 * @param lock of this process on the run directory; the caller releases it.
 */
export async function executeRun(
  config: TrainConfig,
  inputs: RunInputs,
  from: ResumePoint | undefined,
  context: RunContext,
): Promise<RunResult> {
  const { view, lock, team } = context;
  const begin = performance.now();
  const numbers = sharedNumbers(inputs.layout.length);
  const { pool, control } = await startTeam(config, inputs, numbers.params, context);
  const openWriter = () =>
    openCheckpointWriter({
      numbers,
      trouble: createTrouble("The checkpoint", view.warn),
      beforeWrite: async () => {
        await lock.confirm();
        if (!existsSync(join(config.out, "config.json"))) await createRunFolder(config); // the folder has vanished
      },
      onSaved: view.checkpoint,
    });
  const writer = team.isFirst ? openWriter() : noWriter;
  try {
    // Before the metrics are opened, which takes out the lines of steps that are to be done again.
    const engine = from
      ? await team.fromFirst("comparing engines", () => acceptEngine(config, from, pool.engineName, view.note))
      : [];
    const accepted = [...(from?.accepted ?? []), ...engine];
    await writer.ready;
    const running = { config, inputs, numbers, pool, writer, view, control, team };
    const { ending, standing } = await runWithRollbacks(running, from, accepted);
    const durationMs = performance.now() - begin;
    const summary = { isFirst: team.isFirst, ending, steps: standing.step, best: standing.best, durationMs };
    if (ending === "interrupted") return { ...summary, samples: [], unmoved: [] };
    return { ...summary, ...(await finish(running, standing, durationMs)) };
  } finally {
    await Promise.all([pool.close(), writer.close()]);
  }
}

/** The devices of this host, joined with those of all others, which run the same engine. */
async function startTeam(
  config: TrainConfig,
  inputs: RunInputs,
  params: Float32Array,
  { view, control, team }: RunContext,
): Promise<{ pool: DevicePool; control: RunControl }> {
  const starting = startDevices(config, inputs, params, view);
  try {
    const own = async () => ({ engine: (await starting).engineName, workers: config.workers });
    const hosts = await team.collect("starting workers", own, LOADING_PATIENCE);
    const engines = hosts.map(({ engine }) => ({ engine }));
    checkAlike(team, engines);
    const { train, heldOut, maxCells } = inputs;
    const tokens = { train: train.tokens, validation: heldOut?.tokens };
    const workers = hosts.map((host) => host.workers);
    return openTeamPool({ team, pool: await starting, workers, control, params, tokens, maxCells });
  } catch (error) {
    await starting.then(
      (pool) => pool.close(),
      () => {},
    );
    throw error;
  }
}

/** Sessions of the loop, one after each rollback, until the run is at its end and all of it is on disk. */
async function runWithRollbacks(
  running: Running,
  from: ResumePoint | undefined,
  accepted: readonly AcceptedChange[],
): Promise<{ ending: Ending; standing: Standing }> {
  const { config, inputs, writer, view, team } = running;
  let start = from?.checkpoint;
  let voided = start?.state.voided ?? [];
  const floor = accepted.length > 0 ? (start?.state.step ?? 0) : (from?.floor ?? 0);
  for (let rollbacks = 0; ; rollbacks++) {
    const { ending, standing } = await runSession(running, { from: start, accepted, voided, rollbacks, floor });
    if (typeof ending === "string") return { ending, standing };
    await writer.forget();
    start = await team.fromFirst("going back", () => goBack(config.out, inputs.model, ending.to, view.warn));
    if ((start?.state.step ?? 0) < floor) {
      throw new Error(
        `Cannot roll back to step ${ending.to}: its checkpoint is gone, and before it other settings held`,
      );
    }
    voided = voidRange(standing.voided, ending);
  }
}

/**
 * At the end nothing is lost by waiting for a disk; how long is up to `diskPatience` and to a second Ctrl-C. Then the state
 * is put where it can be written, if anywhere.
 */
async function writeRemainder({ config, writer }: Running): Promise<void> {
  try {
    await writer.drain(60_000 * config.diskPatience);
  } catch (cause) {
    const attempt = `Cannot save the last checkpoint in ${config.out}: ${messageOf(cause)}`;
    const rescued = await mkdtemp(join(tmpdir(), "zerogate-rescue-"))
      .then((folder) => writer.rescue(folder))
      .catch(() => undefined);
    const advice = rescued
      ? `it is saved as ${rescued}: move that into ${join(config.out, "checkpoints")} and resume`
      : "";
    throw new Error([attempt, advice].filter(Boolean).join("; "), { cause });
  }
}

/** So many times their usual patience other ranks wait for rank 0 while it waits for a disk. */
const diskRounds = ({ diskPatience, hostTimeout }: TrainConfig): number => 1 + (60 * diskPatience) / hostTimeout;

/** The training loop with its metrics, receipt, events and checkpoints, from a checkpoint or from the start. */
async function runSession(
  running: Running,
  { from, accepted, voided, rollbacks, floor }: SessionStart,
): Promise<{ ending: Ending | Rollback; standing: Standing }> {
  const { config, inputs, numbers, pool, writer, view, control, team } = running;
  const { layout, adapterConfig, schedule, totalSteps, hashes } = inputs;
  const { params } = numbers;
  const moments = takeUp(numbers, from, inputs.initialParams);
  const { step = 0, best, evaluationsWithoutGain = 0, owesEvaluation = false } = from?.state ?? {};
  const standing: Standing = { step, best, evaluationsWithoutGain, owesEvaluation, voided };
  const optimizer = optimizerOptions(config, layout);
  const trouble = (what: string) => createTrouble(what, view.warn);
  const openRecords = () => ({
    metrics: openMetrics(config.out, from?.state.step, trouble("metrics.jsonl")),
    receipt: openReceipt(config.out, from && { step, chain: from.state.receipt }, trouble("receipt.jsonl")),
    events: openEventFile(config.out, step, trouble("the TensorBoard file")),
  });
  const { metrics, receipt, events } = team.isFirst ? openRecords() : noRecords;
  if (!from) {
    const run = { zerogate: versions.zerogate, node: versions.node, engine: pool.engineName, hashes };
    receipt.add({ event: "start", version: 1, ...run, config: configHash(config), params: paramsDigest(params) });
  }
  for (const { field, was, is } of accepted) receipt.add({ event: "accepted", step, field, was, is });
  view.start(step, config, inputs);
  try {
    const version = (done: number) => rollbacks * (totalSteps + 1) + done;
    const { clipNorm } = config;
    const adamWUpdate = adamWUpdateFor(pool.engineName);
    const training = {
      pool,
      params,
      moments,
      optimizer,
      schedule,
      clipNorm,
      adamWUpdate,
      copied: writer.copied,
      version,
    };
    const ending = await trainLoop({
      config,
      inputs,
      training,
      standing,
      isNew: from === undefined,
      floor,
      control,
      receipt,
      onMetrics(line: MetricsLine, report) {
        metrics.write(line);
        events.write(line);
        view.metrics(line, report, standing.best);
      },
      onWarning: view.warn,
      save: () =>
        writer.save({
          runDir: config.out,
          state: runState(config, inputs, standing, pool.engineName, receipt.chain() ?? ""),
          adapterConfig,
          layout,
          t: moments.t,
          keep: {
            newest: config.keepCheckpoints,
            every: config.keepEvery,
            best: standing.best?.step,
            upTo:
              config.onBadNumbers === "rollback" ? Math.max(floor, standing.step - config.rollbackSteps) : undefined,
          },
          flush: [metricsPath(config.out), receiptPath(config.out)],
        }),
      settle: () => writer.drain(LAST_PATIENCE_MS),
    });
    if (typeof ending === "string") {
      const save = () => writeRemainder(running);
      await team.agree("the last checkpoint", save, diskRounds(config));
    }
    return { ending, standing };
  } finally {
    metrics.close();
    receipt.close();
    events.close();
  }
}

async function finish(
  { config, inputs, numbers: { params }, pool, view, team }: Running,
  standing: Standing,
  durationMs: number,
): Promise<Omit<RunResult, "isFirst" | "ending" | "steps" | "durationMs">> {
  const { layout, adapterConfig, model } = inputs;
  const { adapterDtype: dtype, diskPatience } = config;
  const save = () => saveFinalAdapter(config.out, { config: adapterConfig, layout, params, dtype });
  const trouble = createTrouble("The adapter", view.warn);
  const write = () =>
    patiently(save, 60_000 * diskPatience, trouble).catch((cause) => {
      const kept = checkpointFolder(config.out, standing.step);
      throw new Error(`Cannot write the adapter: ${messageOf(cause)}; ${kept} holds it too`, { cause });
    });
  const adapterFolder = await team.fromFirst("the adapter", write, diskRounds(config));
  view.phase({ name: "comparing base and adapter" });
  const compared = await compare(config, inputs, pool).catch((cause) => {
    const kept = `The adapter is trained and saved as ${adapterFolder}: a resume repeats only what comes after it`;
    throw new Error(`${messageOf(cause)}\n${kept}`, { cause });
  });
  const { base, adapter, samples } = compared;
  const all = parameterCount(model) + layout.length;
  const data = () => ({
    title: config.out.split(/[\\/]/).at(-1) ?? config.out,
    createdAt: new Date(),
    config,
    engine: pool.engineName,
    metrics: readMetrics(config.out),
    layers: layout.places.map(({ layer }) => layer),
    summary: {
      trainedParameters: trainableLine({ trainable: layout.length, all }),
      durationMs,
      validationLoss: { before: base?.loss, after: adapter?.loss },
      exactMatch: { before: base?.exactMatch, after: adapter?.exactMatch },
      bestStep: standing.best?.step,
    },
    samples,
    versions,
  });
  const report = await team.fromFirst("the report", () => writeReport(config.out, data()));
  view.phase(undefined);
  const unmoved = unmovedParts(layout, inputs.initialParams, params);
  return { base, adapter, best: standing.best, samples, unmoved, adapterFolder, report };
}

/** Base and adapter on what is held out, and their answers to some of it. */
async function compare(
  config: TrainConfig,
  inputs: RunInputs,
  pool: DevicePool,
): Promise<Pick<RunResult, "base" | "adapter" | "samples">> {
  const { heldOut } = inputs;
  if (!heldOut) return { samples: [] };
  const base = await evaluateHeldOut(pool, heldOut, inputs, false, FINAL_VERSION);
  const adapter = await evaluateHeldOut(pool, heldOut, inputs, true, FINAL_VERSION);
  const samples = await answerSamples(pool, heldOut, inputs, config.samples, FINAL_VERSION);
  return { base, adapter, samples };
}

function runState(
  config: TrainConfig,
  inputs: RunInputs,
  standing: Standing,
  engine: string,
  receipt: string,
): RunState {
  return {
    step: standing.step,
    epoch: standing.step / inputs.plan.stepsPerEpoch,
    seed: config.seed,
    engine,
    hashes: inputs.hashes,
    config: JSON.parse(JSON.stringify(config)),
    versions,
    best: standing.best,
    evaluationsWithoutGain: standing.evaluationsWithoutGain,
    owesEvaluation: standing.owesEvaluation,
    voided: standing.voided,
    receipt,
  };
}
