/** The models that answer tasks side by side: a base and adapters, on devices that score cells of all of them. */
import { adapterLayout, InputError } from "@zerogate/core";
import { type LoadedAdapter, loadAdapter } from "@zerogate/core/node";
import { joinSamples } from "@zerogate/data";
import { fields } from "@zerogate/run-config";
import { loadBase, locateModel, type OpenedBase, openBase, PASS_TOKENS, startDevices } from "@zerogate/trainer/command";
import type { DeviceEvent, DevicePool } from "@zerogate/workers";
import { logLevel, openLog } from "../log.ts";
import type { StatusDisplay } from "../status/display.ts";
import type { CommandContext } from "./context.ts";
import { type EngineFlags, engineFlags, outputBiasFlag } from "./flags.ts";
import { logDevice } from "./live_view.ts";

/** What the base is called among the models. */
export const BASE = "base";

/** Flags that name the models. */
export interface TaskModelFlags extends EngineFlags {
  readonly model?: string;
  readonly adapter?: readonly string[];
  readonly tokenizer?: string;
  readonly isolate?: boolean;
  readonly links?: boolean;
  readonly strictTensors?: boolean;
  readonly outputBias?: string;
}

/** A base and adapters of which all is known but the base's weights. */
export interface TaskModels {
  readonly base: OpenedBase;
  readonly adapters: readonly { readonly name: string; readonly loaded: LoadedAdapter }[];
  readonly workers: number;
}

/** @throws InputError for what cannot be used, and for an adapter that is called as the base is. */
export async function openTaskModels(
  flags: TaskModelFlags,
  workers: number,
  { log }: Pick<StatusDisplay, "log">,
): Promise<TaskModels> {
  const { links = true, isolate = false, strictTensors = false, tokenizer = "model" } = flags;
  const located = await locateModel({ model: flags.model, adapters: flags.adapter ?? [], links }, log);
  const settings = { ...engineFlags(flags), workers, isolate, links, strictTensors, tokenizer };
  const base = await openBase({ ...settings, model: located.folder }, log);
  const adapters: { name: string; loaded: LoadedAdapter }[] = [];
  for (const { folder, name } of located.adapters) {
    if (name === BASE) {
      const way = `name it otherwise, --adapter ${folder}=NAME`;
      throw new InputError("Cannot evaluate", `the adapter ${folder} is called ${BASE}, as the base is: ${way}`);
    }
    const loaded = await loadAdapter(folder, base.model, { outputBiasTimes: outputBiasFlag(flags) });
    for (const warning of loaded.warnings) log(warning);
    if (loaded.seen) log(`${name} was trained with images: it answers these questions without any`);
    adapters.push({ name, loaded });
  }
  return { base, adapters, workers };
}

/** Loads the base and starts its devices, with the adapters as their jobs. */
export async function startTaskDevices(
  { base, adapters, workers }: TaskModels,
  status: StatusDisplay,
  { env }: CommandContext,
): Promise<DevicePool> {
  const { engine, model } = base;
  const weights = await loadBase(base, status.phase);
  const jobs = adapters.map(({ name, loaded }) => {
    const layout = adapterLayout(loaded.shape, model);
    const params = new Float32Array(new SharedArrayBuffer(4 * layout.length));
    params.set(loaded.params);
    return { id: name, layout, params };
  });
  const { logger } = openLog({ level: logLevel(undefined, env), print: status.log });
  const view = { phase: status.phase, device: (event: DeviceEvent) => logDevice(logger, event) };
  const longest = Math.max(PASS_TOKENS, model.contextLength * (adapters.length + 1));
  const work = { engine, model, weights, train: { tokens: joinSamples([]), stats: { longest } }, heldOut: undefined };
  const rules = { cellTokens: PASS_TOKENS, workerTimeout: fields.workerTimeout.fallback ?? 0 };
  return startDevices({ ...rules, workers, isolate: base.isIsolated }, { ...work, maxCells: 1 }, jobs, view);
}
