/**
 * The job of several devices on this machine: everything of a run is real but its devices, which take the time of a cost model
 * and compute nothing (device.ts). The run lies in a temporary folder and is removed at its end.
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { SampleTokens } from "@zerogate/core/node";
import { backwardLayers, type SampleCost, trainingCost } from "@zerogate/core/training";
import { measureSamples, sampleCost } from "@zerogate/data";
import type { EngineChoice, TrainConfig } from "@zerogate/run-config";
import { workerLayout } from "@zerogate/run-files";
import { type PlanOnly, planOnly } from "../entry/estimate.ts";
import { type RunListening, type RunOptions, type RunPlace, withListener } from "../entry/listener.ts";
import { withLock } from "../entry/with_lock.ts";
import type { EstimateRequest } from "../run/estimate.ts";
import type { RunInputs } from "../run/inputs.ts";
import { executeRun } from "../run/run.ts";
import { createRunFolder } from "../run/run_folder.ts";
import { type DeviceOptions, REHEARSAL } from "./device.ts";
import { phantomBase } from "./phantom_base.ts";
import { type RehearsedStep, stepRecorder } from "./step_recorder.ts";

/** How many devices of which speed are rehearsed, and for how long. */
export interface RehearsalRequest {
  /** Devices of each host. */
  readonly devices: number;
  readonly steps: number;
  readonly speed: RehearsalSpeed;
  /** Ends a worker in the middle of a cell, once. */
  readonly kills: boolean;
}

/** How fast a device is: the milliseconds of a cell of `cellTokens`, or its data sheet and the share of it that is reached. */
type RehearsalSpeed = { readonly cellMs: number } | Pick<EstimateRequest, "teraflops" | "utilization">;

/** A run that is interrupted writes no adapter. Several hosts agree on it a step later. */
const STEPS_BEYOND = 5;

/** What a rehearsal has found. */
export interface Rehearsal {
  readonly config: TrainConfig;
  readonly parameters: number;
  readonly hosts: number;
  readonly isFirst: boolean;
  readonly steps: readonly RehearsedStep[];
  /** The steps in which a worker was lost, counted from 1. */
  readonly lostAt: readonly number[];
}

/** @throws InputError for what a run would refuse too. */
export async function rehearse(
  config: TrainConfig,
  request: RehearsalRequest,
  listening: RunListening = {},
  options: RunOptions = {},
): Promise<Rehearsal> {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-rehearsal-"));
  try {
    return await withListener(config, listening, options, {
      work: (place) => rehearseAt(join(folder, "run"), config, request, place),
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function rehearseAt(
  out: string,
  given: TrainConfig,
  request: RehearsalRequest,
  place: RunPlace,
): Promise<Rehearsal> {
  const { team, view, signal } = place;
  const { devices: workers, steps, kills } = request;
  const end = new AbortController();
  const progress = { onPhase: view.phase, onWarning: view.warn, signal };
  const plan = await planOnly(given, progress);
  const config = { ...given, out, workers, steps, epochs: undefined, engine: REHEARSAL, isolate: false };
  const kill = new Int32Array(new SharedArrayBuffer(4));
  const stepStart = new BigInt64Array(new SharedArrayBuffer(8));
  const cost = costOf(config, plan, request.speed);
  const inputs = inputsOf(plan, engineOf({ cost, kill, stepStart }), steps + STEPS_BEYOND);
  const recorder = stepRecorder(inputs, workers * team.size, cost);
  const metrics: RunPlace["view"]["metrics"] = (line, report, best) => {
    view.metrics(line, report, best);
    if (report) recorder.add(line.step, report);
    if (report) Atomics.store(stepStart, 0, 0n);
    if (line.step === steps) end.abort();
    if (kills && team.isFirst && line.step === Math.ceil(steps / 2)) Atomics.store(kill, 0, workers);
  };
  const device: RunPlace["view"]["device"] = (event) => {
    if (event.type === "worker-died" && event.restarts) recorder.lost();
    view.device(event);
  };
  const run = {
    ...place,
    config,
    inputs,
    from: undefined,
    view: { ...view, metrics, device },
    signal: AbortSignal.any([signal, end.signal]),
  };
  const trained = async (lock: Parameters<typeof executeRun>[0]["lock"]) => {
    await team.fromFirst("the run directory", () => createRunFolder(config));
    return await executeRun({ ...run, lock });
  };
  await withLock(out, view.warn, trained, { team, hostTimeout: config.hostTimeout });
  const { layout } = plan;
  return {
    config,
    parameters: workerLayout(config, layout).length,
    hosts: team.size,
    isFirst: team.isFirst,
    ...recorder.found(),
  };
}

/** The engine that no config can name. */
function engineOf(options: DeviceOptions): EngineChoice {
  const path = fileURLToPath(new URL("../../dist/rehearse/device.js", import.meta.url));
  if (!existsSync(path)) throw new Error(`Cannot rehearse: ${path} is missing, run \`pnpm build\``);
  const traits = { computes: ["f32"], storages: ["as-is"], weightDtypes: ["f32"] } as const;
  const copies = { weightCopies: 0, packedBytes: 0 };
  return { name: REHEARSAL, module: pathToFileURL(path).href, options, traits, storage: "as-is", ...copies };
}

function inputsOf(
  { data, model, tokenizer, template, ...adapter }: PlanOnly,
  engine: EngineChoice,
  totalSteps: number,
): RunInputs {
  const { plan, train } = data;
  const hashes = { base: REHEARSAL, data: train.tokens.hash, tokenizer: tokenizer.hash, plan: plan.hash };
  const weights = phantomBase(model);
  const schedule = { ...data.schedule, warmupSteps: 0, totalSteps };
  const compute = "f32"; // nothing is
  const own = { model, tokenizer, template, engine, compute, weights, weightBytes: 0, hashes } as const;
  return { ...data, ...adapter, ...own, maxCells: plan.maxCells, heldOut: undefined, totalSteps, schedule };
}

/** Returns the milliseconds that a device takes, by what a cell has. */
function costOf(config: TrainConfig, { data, model, layout }: PlanOnly, speed: RehearsalSpeed): SampleCost {
  const cost = trainingCost(model, backwardLayers(layout));
  const perMultiplication =
    "cellMs" in speed
      ? speed.cellMs / fullCell(config, data.train.tokens, cost)
      : 2000 / (1e12 * speed.teraflops * speed.utilization);
  const timeOf = (multiplications: number) => perMultiplication * multiplications;
  return { token: timeOf(cost.token), pair: timeOf(cost.pair), label: timeOf(cost.label) };
}

/** The multiplications of a cell of `cellTokens` tokens in samples like those of the data. */
function fullCell({ cellTokens }: Pick<TrainConfig, "cellTokens">, tokens: SampleTokens, cost: SampleCost): number {
  const { lengths, labelled } = measureSamples(tokens);
  const all = lengths.reduce((sum, length) => sum + length, 0);
  const work = lengths.reduce((sum, length, sample) => sum + sampleCost(cost, length, labelled[sample] ?? 0), 0);
  return (work * cellTokens) / all;
}
