/** Which engine a config means on this machine, and whether that engine can do what is asked of it. */
import { InputError, type ModelConfig, parameterCount, type WeightStorage } from "@zerogate/core";
import type { Compute, EngineSetup, EngineTraits } from "@zerogate/core/engine";
import type { TrainConfig } from "../config/train_config.ts";
import { ownCommand } from "../own_command.ts";
import { describedEngine, findEngine, firstEngine, namesOfEngines } from "./registry.ts";

/** The engine of a run: its module and options for workers, its traits here, and how it is to be given the base. */
export interface EngineChoice extends Required<Pick<EngineSetup, "weightCopies" | "packedBytes">> {
  readonly name: string;
  readonly module: string;
  readonly options: object;
  readonly traits: EngineTraits;
  /** How the base is to be loaded, see `LoadOptions` of core. */
  readonly storage: WeightStorage;
  /** See `EngineSetup`. */
  readonly optionsForCells?: EngineSetup["optionsForCells"];
  /** See `EngineSetup`. */
  readonly processEnv?: EngineSetup["processEnv"];
  /** See `EngineSetup`. */
  readonly exclusive?: EngineSetup["exclusive"];
}

interface EngineConfig extends Pick<TrainConfig, "engine" | "storage" | "packing" | "devices" | "workers"> {
  readonly compute: Compute;
}

/**
 * @param threads of one engine: device workers have one each, a single model in this thread may use all cores.
 * @throws InputError if what is named does not run here, or `auto` would choose a hopelessly slow engine.
 */
export async function chooseEngine(config: EngineConfig, model: ModelConfig, threads: number): Promise<EngineChoice> {
  const { description, module, own } = await findChosen(config.engine, model);
  const traits = description.traits(own);
  checkRequest(own, traits, config);
  if (traits.missing && traits.missing.length > 0) throw new InputError(`Cannot use the engine ${own}`, traits.missing);
  const { compute, storage, packing, devices, workers } = config;
  const setup = description.setup(own, { compute, storage, packing, devices, workers, threads, model });
  return { weightCopies: 0, packedBytes: 0, options: {}, ...setup, name: own, module, traits, storage };
}

/** What the engine that a config means can compute in on this machine. @throws InputError as `chooseEngine` */
export async function computesOf(engine: string, model: ModelConfig): Promise<readonly Compute[]> {
  const { description, own } = await findChosen(engine, model);
  return description.traits(own).computes;
}

async function findChosen(engine: string, model: ModelConfig) {
  const name = engine === "auto" ? automaticEngine(model) : engine;
  const { description, module } = await findEngine(name);
  return { description, module, own: description.names.includes(name) ? name : (description.names[0] ?? name) };
}

/** How a loader is to give the base to the engine. */
export function loadOptions({ traits, storage }: EngineChoice): {
  weightDtypes: EngineTraits["weightDtypes"];
  mapFiles: boolean;
  storage: WeightStorage;
} {
  return { weightDtypes: traits.weightDtypes, mapFiles: traits.mapsFiles ?? false, storage };
}

/** Whether every worker is a process that reads the base for itself: the config says so, or the engine needs it. */
export function isIsolated({ isolate }: Pick<TrainConfig, "isolate">, { processEnv }: EngineChoice): boolean {
  return isolate || processEnv !== undefined;
}

/** The first engine that runs here and is fast enough for a base of this size that nobody has to ask for it. */
function automaticEngine(model: ModelConfig): string {
  const parameters = parameterCount(model);
  const runs = ({ missing = [] }: EngineTraits) => missing.length === 0;
  const fits = ({ automaticParameters = 0 }: EngineTraits) => automaticParameters >= parameters;
  const taken = firstEngine((traits) => fits(traits) && runs(traits));
  if (taken !== undefined) return taken;
  const best = firstEngine(fits) ?? "cpu";
  const slow = firstEngine((traits) => runs(traits) && (traits.automaticParameters ?? 0) > 0) ?? "wasm";
  const reasons = describedEngine(best)?.traits(best).missing?.join("; ");
  const way = `mend it (${ownCommand`doctor`} says more), or ask for the slow one with --engine ${slow}`;
  throw new InputError("Cannot choose an engine for a model of this size", `${reasons}: ${way}`);
}

/** @throws InputError for what no setting of this engine gives, with what would. */
function checkRequest(name: string, traits: EngineTraits, config: EngineConfig): void {
  const { computes, storages, detail, packs = false, hasNamedDevices = false } = traits;
  const { compute, storage, packing, devices } = config;
  if (devices && !hasNamedDevices) {
    const others = alternatives((other) => other.hasNamedDevices === true);
    throw new InputError(
      "Cannot choose GPUs",
      `the engine is ${name}, devices are those of ${others}: use --engine ${others}`,
    );
  }
  if (!computes.includes(compute)) {
    const here = detail === undefined ? name : `${name} (${detail})`;
    const way = `use ${computes.map((one) => `--compute ${one}`).join(" or ")}`;
    throw new InputError(
      `Cannot compute in ${compute}`,
      `the engine ${here} has ${computes.join(" and ")} only: ${way}`,
    );
  }
  if (!storages.includes(storage)) {
    const way = `use --storage ${storages.join(" or ")}, or the engine ${alternatives((other) => other.storages.includes(storage))}`;
    throw new InputError(`Cannot hold the base in ${storage}`, `the engine ${name} does not compute with it: ${way}`);
  }
  if (packing === "always" && !packs) {
    const way = `use --packing auto, or the engine ${alternatives((other) => other.packs === true)}`;
    throw new InputError("Cannot keep packed copies of the base", `the engine ${name} makes none: ${way}`);
  }
}

const alternatives = (has: (traits: EngineTraits) => boolean) => namesOfEngines(has).join(" or ");
