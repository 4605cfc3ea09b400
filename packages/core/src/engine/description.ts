/**
 * How a package of engines describes itself: its names, what it runs on here, what can be asked of it, and the options that a
 * worker opens it with. Help, config, doctor, dry run and the choice of an engine read nothing else of it.
 */

import type { WeightStorage } from "../formats/scaled_format.ts";
import type { ModelConfig } from "../model/config.ts";
import type { WeightDType } from "./engine.ts";
import type { MachineCheck } from "./machine_check.ts";

/** What matrix products are computed in: float32, or bf16 with float32 sums. */
export type Compute = "f32" | "bf16";

/** Something of this machine that an engine computes on; a worker each. */
export interface DeviceInfo {
  /** Its number, which a config's `devices` names. */
  readonly ordinal: number;
  readonly name: string;
  /** Why the engine cannot use it, and what to do. @default none: it can */
  readonly problem?: string;
}

/** What an engine is on this machine, independent of the base. */
export interface EngineTraits {
  /** Why it cannot run here and what to type, a reason each. @default it runs */
  readonly missing?: readonly string[];
  /** The property of this machine that decides them, in a phrase: `level avx2`. @default none */
  readonly detail?: string;
  readonly computes: readonly Compute[];
  readonly storages: readonly WeightStorage[];
  /** Dtypes in which it takes weights unchanged; a loader widens the others to f32. */
  readonly weightDtypes: readonly WeightDType[];
  /** `--engine auto` takes the first that runs here, for bases of at most this many parameters. @default 0: never */
  readonly automaticParameters?: number;
  /** Whether it can keep packed copies of the linear maps (`packing`). @default false */
  readonly packs?: boolean;
  /** Whether a config's `devices` chooses among its devices. @default false */
  readonly hasNamedDevices?: boolean;
  /** Whether it uses weights where they lie in their files (`Engine.mapped`). @default false */
  readonly mapsFiles?: boolean;
  /** Operations are made of smaller ones, and each leaves a temporary. @default false */
  readonly isComposed?: boolean;
  /** A cell has the bits of a pass with no other cell. @default false */
  readonly keepsCellBits?: boolean;
  /** A token of a text that is generated has the bits of the text alone, whatever else is in its passes. @default false */
  readonly keepsRowBits?: boolean;
  /** The bits are the same for any number of its threads. @default false */
  readonly keepsThreadBits?: boolean;
}

/** What a run or a command asks of an engine; what its traits rule out was refused before. */
export interface EngineRequest {
  readonly compute: Compute;
  readonly storage: WeightStorage;
  /** Packed copies: always, never, or as the engine thinks best. */
  readonly packing: "auto" | "always" | "never";
  /** Numbers of the devices that the config names. @default the first that work */
  readonly devices?: readonly number[] | undefined;
  readonly workers: number;
  /** Of one engine: device workers have one each, a single model in the main thread may use all cores. */
  readonly threads: number;
  readonly model: ModelConfig;
}

/** How workers open the engine, and what that costs. */
export interface EngineSetup {
  /** Plain data for `createEngine(options, device)` of the module. @default none */
  readonly options?: object;
  /** The options once the cells are known: engines that plan their memory report before it ends. @default `options` */
  readonly optionsForCells?: (cells: { readonly tokens: number; readonly adaptedLayers: number }) => object;
  /** Copies of the base that each worker's engine holds besides the shared one. @default 0 */
  readonly weightCopies?: number;
  /** Bytes of the copies of all linear maps that its engines share, packed for one direction. @default 0 */
  readonly packedBytes?: number;
  /** Each worker must be a process, with this added to its environment. @default threads */
  readonly processEnv?: (device: number) => Readonly<Record<string, string>>;
  /** Devices that no other process should use meanwhile, by names that all processes of the machine share. @default none */
  readonly exclusive?: readonly string[];
}

/**
 * Loads nothing that is large: help and `--version` read it.
 *
 * @example
 * // A module of engines exports it as `description`, beside `createEngine(options, device)`, which workers call.
 * const description: EngineDescription = {
 *   names: ["mine"],
 *   devices: () => [{ ordinal: 0, name: "this processor" }],
 *   traits: () => ({ computes: ["f32"], storages: ["as-is"], weightDtypes: ["f32"] }),
 *   setup: () => ({}),
 * };
 */
export interface EngineDescription {
  /** Names in a config and in `--engine`. */
  readonly names: readonly string[];
  /** What this machine has for it. `workers` is by default the number of those without a problem. */
  devices(name: string): readonly DeviceInfo[];
  /** Returns what the engine is on this machine. Loads nothing that is large. */
  traits(name: string): EngineTraits;
  /** @throws InputError for what the traits do not say: a base that is too large, a device that is not there. */
  setup(name: string, request: EngineRequest): EngineSetup;
  /** Tries the engine on this machine, for `zerogate doctor`; may take minutes, and loads what it needs. @default not asked */
  checks?(): Promise<readonly MachineCheck[]>;
}
