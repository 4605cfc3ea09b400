/** The devices of a run: one worker each, on the engine that the config names. */
import { backwardLayers } from "@zerogate/core/training";
import { probe } from "@zerogate/engine-cpu";
import type { TrainConfig } from "@zerogate/run-config";
import { isIsolated, workerModule } from "@zerogate/run-config";
import { workerLayout } from "@zerogate/run-files";
import { type DeviceJob, type DevicePool, openDevices } from "@zerogate/workers";
import type { RunInputs } from "./inputs.ts";
import type { RunView } from "./view.ts";

/** What devices depend on in a run. */
type DeviceConfig = Pick<TrainConfig, "workers" | "isolate" | "workerTimeout" | "cellTokens">;
type DeviceInputs = Pick<RunInputs, "engine" | "model" | "weights" | "heldOut" | "maxCells"> & {
  readonly train: Pick<RunInputs["train"], "tokens"> & { readonly stats: Pick<RunInputs["train"]["stats"], "longest"> };
};

/**
 * Starts a worker for each device.
 * @param jobs the adapters that are trained or asked; none for the base alone.
 */
export async function startDevices(
  config: DeviceConfig,
  inputs: DeviceInputs,
  jobs: readonly DeviceJob[],
  view: Pick<RunView, "phase" | "device">,
): Promise<DevicePool> {
  const { engine, model, weights, train, heldOut, maxCells } = inputs;
  const { module, processEnv, optionsForCells } = engine;
  const adaptedLayers = Math.max(0, ...jobs.map(({ layout }) => backwardLayers(layout)));
  const cells = { tokens: Math.max(config.cellTokens, train.stats.longest), adaptedLayers };
  const options = optionsForCells?.(cells) ?? engine.options;
  view.phase({ name: "starting workers" });
  const tokens = { train: train.tokens, ...(heldOut?.set === "validation" && { validation: heldOut.tokens }) };
  const sums = probe().available ? workerModule(import.meta.resolve("@zerogate/engine-cpu")) : undefined;
  const setup = { engine: { module, options }, sums, config: model, weights, jobs, tokens };
  const pool = await openDevices({
    workers: config.workers,
    setup,
    maxCells,
    isolate: isIsolated(config, engine) ? { ...(processEnv && { env: processEnv }) } : undefined,
    patienceMs: 1000 * config.workerTimeout,
    onEvent: view.device,
  });
  view.phase(undefined);
  return pool;
}

/** What a cell of a run leaves out. */
export function savingsOf({
  sharedBeginnings,
  skipUnlabelled,
}: Pick<TrainConfig, "sharedBeginnings" | "skipUnlabelled">): Pick<DeviceJob, "sharesBeginnings" | "skipsUnlabelled"> {
  return { sharesBeginnings: sharedBeginnings, skipsUnlabelled: skipUnlabelled };
}

/** What workers compute for one run. */
export function jobOf(
  config: Pick<TrainConfig, "out" | "sharedBeginnings" | "skipUnlabelled" | "visionParts">,
  { layout }: Pick<RunInputs, "layout">,
  params: Float32Array,
): DeviceJob {
  const own = workerLayout(config, layout);
  return { id: config.out, layout: own, params: params.subarray(0, own.length), ...savingsOf(config) };
}
