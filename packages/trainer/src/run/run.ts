/**
 * A training run from checked inputs to the finished adapter: opens the devices, runs the loop, keeps metrics and checkpoints,
 * and leaves `RUN/adapter` (a PEFT folder) and `RUN/report.html`.
 */
import { join } from "node:path";
import {
  type AdamWState,
  createAdamWState,
  decayRanges,
  InputError,
  parameterCount,
  trainableLine,
} from "@zerogate/core";
import { saveAdapter } from "@zerogate/core/node";
import { type DevicePool, openDevices } from "@zerogate/workers";
import { type Checkpoint, saveCheckpoint } from "../checkpoint/checkpoint.ts";
import { pruneCheckpoints } from "../checkpoint/folders.ts";
import type { RunState } from "../checkpoint/run_state.ts";
import type { TrainConfig } from "../config/train_config.ts";
import { openMetrics, readMetrics } from "../metrics/metrics_file.ts";
import type { MetricsLine } from "../metrics/records.ts";
import { openEventFile } from "../metrics/tensorboard.ts";
import type { SampleAnswer } from "../report/data.ts";
import { writeReport } from "../report/render.ts";
import { versions } from "../version.ts";
import { chooseEngine } from "./engines.ts";
import { type EvaluationResult, evaluateHeldOut } from "./evaluate.ts";
import type { RunInputs } from "./inputs.ts";
import { type Ending, type Standing, trainLoop } from "./loop.ts";
import { answerSamples } from "./samples.ts";
import { unmovedParts } from "./unmoved.ts";
import type { RunView } from "./view.ts";

export interface RunResult {
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

/** @param from the checkpoint to go on from; none for a new run. */
export async function executeRun(
  config: TrainConfig,
  inputs: RunInputs,
  from: Checkpoint | undefined,
  view: RunView,
  signal: AbortSignal,
): Promise<RunResult> {
  const begin = performance.now();
  const { layout } = inputs;
  const params = new Float32Array(new SharedArrayBuffer(4 * layout.length));
  params.set(from?.params ?? inputs.initialParams);
  const moments = from?.moments ?? createAdamWState(layout.length);
  const standing: Standing = {
    step: from?.state.step ?? 0,
    best: from?.state.best,
    evaluationsWithoutGain: from?.state.evaluationsWithoutGain ?? 0,
  };
  const pool = await startDevices(config, inputs, params, view);
  try {
    // Before the metrics are opened, which takes out the lines of steps that are to be done again.
    if (from && from.state.engine !== pool.engineName) refuseEngine(config.out, from.state.engine, pool.engineName);
    const ending = await runLoop(config, inputs, { params, moments, standing, pool }, from, view, signal);
    const durationMs = performance.now() - begin;
    const summary = { ending, steps: standing.step, best: standing.best, durationMs };
    if (ending === "interrupted") return { ...summary, samples: [], unmoved: [] };
    return { ...summary, ...(await finish(config, inputs, params, standing, pool, view, durationMs)) };
  } finally {
    await pool.close();
  }
}

/** What changes while a run goes on, and who computes it. */
interface Running {
  readonly params: Float32Array;
  readonly moments: AdamWState;
  readonly standing: Standing;
  readonly pool: DevicePool;
}

/** The training loop with its metrics, events and checkpoints. */
async function runLoop(
  config: TrainConfig,
  inputs: RunInputs,
  { params, moments, standing, pool }: Running,
  from: Checkpoint | undefined,
  view: RunView,
  signal: AbortSignal,
): Promise<Ending> {
  const { layout, adapterConfig, schedule } = inputs;
  const { beta1, beta2, eps, clipNorm } = config;
  const optimizer = { beta1, beta2, eps, ranges: decayRanges(layout, config.decayGroup, config.weightDecay) };
  const metrics = openMetrics(config.out, from?.state.step);
  const events = openEventFile(config.out, standing.step);
  view.start(standing.step, config, inputs);
  try {
    return await trainLoop({
      config,
      inputs,
      training: { pool, params, moments, optimizer, schedule, clipNorm },
      standing,
      isNew: from === undefined,
      signal,
      onMetrics(line: MetricsLine, report) {
        metrics.write(line);
        events.write(line);
        view.metrics(line, report, standing.best);
      },
      async save() {
        const state = runState(config, inputs, standing, pool.engineName);
        const checkpoint = { state, adapterConfig, layout, params: params.slice(), moments };
        const folder = await saveCheckpoint(config.out, checkpoint);
        await pruneCheckpoints(config.out, config.keepCheckpoints, standing.best?.step);
        view.checkpoint(folder);
      },
    });
  } finally {
    metrics.close();
    events.close();
  }
}

async function startDevices(
  config: TrainConfig,
  inputs: RunInputs,
  params: Float32Array,
  view: RunView,
): Promise<DevicePool> {
  const { model, weights, layout, train, heldOut, maxCells } = inputs;
  const { weightDtypes: _, ...engine } = chooseEngine(config, model, 1);
  view.phase({ name: "starting workers" });
  const tokens = { train: train.tokens, ...(heldOut?.set === "validation" && { validation: heldOut.tokens }) };
  const setup = { engine, config: model, weights, layout, params, tokens };
  const pool = await openDevices({ workers: config.workers, setup, maxCells, onEvent: view.device });
  view.phase(undefined);
  return pool;
}

async function finish(
  config: TrainConfig,
  inputs: RunInputs,
  params: Float32Array,
  standing: Standing,
  pool: DevicePool,
  view: RunView,
  durationMs: number,
): Promise<Omit<RunResult, "ending" | "steps" | "durationMs">> {
  const { heldOut, layout, adapterConfig, model } = inputs;
  const adapterFolder = join(config.out, "adapter");
  await saveAdapter(adapterFolder, { config: adapterConfig, layout, params, dtype: config.adapterDtype });
  view.phase({ name: "comparing base and adapter" });
  const base = heldOut && (await evaluateHeldOut(pool, heldOut, false, standing.step));
  const adapter = heldOut && (await evaluateHeldOut(pool, heldOut, true, standing.step));
  const samples = heldOut ? await answerSamples(pool, heldOut, inputs, config.samples, standing.step) : [];
  const all = parameterCount(model) + layout.length;
  const report = await writeReport(config.out, {
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
  view.phase(undefined);
  const unmoved = unmovedParts(layout, inputs.initialParams, params);
  return { base, adapter, best: standing.best, samples, unmoved, adapterFolder, report };
}

function runState(config: TrainConfig, inputs: RunInputs, standing: Standing, engine: string): RunState {
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
  };
}

function refuseEngine(runDir: string, before: string, now: string): never {
  const found = `it was trained by engine ${before}, this is ${now}`;
  throw new InputError(`Cannot resume ${runDir}`, `${found}: its numbers would no longer be those of one engine`);
}
