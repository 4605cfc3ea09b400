/** The engines that a config can name: the module that workers import, and the weight dtypes that it takes as they are. */
import {
  InputError,
  linearMapCount,
  type ModelConfig,
  parameterCount,
  type WeightDType,
  type WeightStorage,
} from "@zerogate/core";
import { type CpuEngineOptions, createAdamWUpdate, probe } from "@zerogate/engine-cpu";
import { type CudaEngineOptions, gpuReports, planCell } from "@zerogate/engine-cuda";
import { type TfjsBackend, type TfjsEngineOptions, tfjsTraits } from "@zerogate/engine-tfjs";
import { type EngineModule, referenceEngine } from "@zerogate/workers";
import { usableGpus } from "../config/device_count.ts";
import type { TrainConfig } from "../config/train_config.ts";
import { ownCommand } from "../own_command.ts";

export interface EngineChoice extends EngineModule {
  readonly weightDtypes: readonly WeightDType[];
  /** How the base is to be loaded, see `LoadOptions` of core. */
  readonly storage: WeightStorage;
  /** Whether it uses weights where they lie in their files (`Engine.mapped`). */
  readonly mapFiles: boolean;
  /** Bases that each worker's engine holds for itself, besides the one that all share. */
  readonly weightCopies: number;
  /** Of the copies of all linear maps that its engines share, packed for one direction; 0 where it keeps none. */
  readonly packedBytes: number;
  /** Operations are made of smaller ones, each of which leaves a temporary. */
  readonly isComposed: boolean;
  /** The options once it is known what cells will be computed; for what is said where memory ends. */
  readonly optionsForCells?: (cells: { tokens: number; adaptedLayers: number }) => object;
  /** A process takes one device whatever it is told: workers must be processes, with this added to the environment of each. */
  readonly processEnv?: (device: number) => Readonly<Record<string, string>>;
}

/** A larger base would take minutes a step, and each worker a copy of it, so it runs there only where somebody asked for it. */
const MAX_PARAMETERS_OF_A_SURPRISE = 300_000_000;

/** What packed copies for both directions may take where nobody asked for them: those of 135 M parameters in bf16. */
const MAX_PACKED_BYTES = 512 * 2 ** 20;

/**
 * `auto` is the native CPU engine where it runs, else the same kernels in WebAssembly.
 *
 * @param threads of one engine: device workers have one each, a single model in this thread may use all cores.
 * @throws InputError where what is named does not run here, or where `auto` would choose a hopelessly slow engine.
 */
export function chooseEngine(
  config: Pick<TrainConfig, "engine" | "compute" | "storage" | "packing" | "devices" | "workers">,
  model: ModelConfig,
  threads: number,
): EngineChoice {
  const { engine, compute, storage, packing, devices, workers } = config;
  const report = probe();
  const chosen = engine === "auto" ? (report.available ? "cpu" : "wasm") : engine;
  if (devices && chosen !== "cuda") {
    throw new InputError("Cannot choose GPUs", `the engine is ${chosen}, devices are those of cuda: use --engine cuda`);
  }
  if (
    compute === "bf16" &&
    chosen !== "cuda" &&
    !(chosen === "cpu" && report.bf16Levels.includes(report.level ?? ""))
  ) {
    const level = chosen === "cpu" ? `${chosen} at this machine's level (${report.level})` : chosen;
    throw new InputError("Cannot compute in bf16", `the engine ${level} has f32 only: use --compute f32`);
  }
  if (storage === "fp8" && chosen !== "cuda" && chosen !== "reference") {
    const way = "use --storage int8 or as-is, or the engine cuda";
    throw new InputError("Cannot hold the base in fp8", `the engine ${chosen} does not read 8-bit floats: ${way}`);
  }
  if (storage === "int8" && chosen.startsWith("tfjs:")) {
    const way = "use --storage as-is, or the engine cpu, wasm or cuda";
    throw new InputError("Cannot hold the base in int8", `the engine ${chosen} computes on f32 weights: ${way}`);
  }
  if (packing === "always" && chosen !== "cpu") {
    const way = "use --packing auto, or the engine cpu";
    throw new InputError("Cannot keep packed copies of the base", `the engine ${chosen} makes none: ${way}`);
  }
  if (engine === "auto" && chosen === "wasm" && parameterCount(model) > MAX_PARAMETERS_OF_A_SURPRISE) {
    const way = `mend it (${ownCommand`doctor`} says more), or ask for the slow one with --engine wasm`;
    throw new InputError("Cannot choose an engine for a model of this size", `${report.reason}: ${way}`);
  }
  const native = {
    weightDtypes: ["f32", "bf16", "f16", "i8"],
    storage,
    mapFiles: false,
    weightCopies: 0,
    packedBytes: 0,
    isComposed: false,
  } as const;
  switch (chosen) {
    case "cpu": {
      if (!report.available) throw new InputError("Cannot use the engine cpu", report.reason ?? "it does not run here");
      const packedBytes = packedBytesOf(config, model);
      const options: CpuEngineOptions = { threads, compute, storage, packing: packedBytes > 0 };
      const module = import.meta.resolve("@zerogate/engine-cpu");
      return { module, options, ...native, packedBytes, mapFiles: report.mapsFiles };
    }
    case "wasm": {
      const options: CpuEngineOptions = { storage };
      return { module: import.meta.resolve("@zerogate/engine-cpu/wasm"), options, ...native, weightCopies: 1 };
    }
    case "reference": {
      // It widens maps of 8 bits for itself, in every worker; f32 weights are used where they lie.
      const weightCopies = storage === "as-is" ? 0 : 4;
      return { ...referenceEngine(), options: { storage }, ...native, weightDtypes: ["f32", "i8", "f8"], weightCopies };
    }
    case "cuda":
      return {
        ...cudaEngine({ compute, storage, ...(devices && { devices }) }, workers, model),
        ...native,
        weightDtypes: ["f32", "bf16", "f16", "i8", "f8"],
      };
    case "tfjs:node-gpu":
    case "tfjs:node":
    case "tfjs:wasm":
    case "tfjs:webgpu":
    case "tfjs:cpu":
      return tfjsEngine(chosen.slice("tfjs:".length) as TfjsBackend, model);
  }
}

/** Who asks for int8 wants less memory and not more. */
function packedBytesOf(
  { compute, storage, packing }: Pick<TrainConfig, "compute" | "storage" | "packing">,
  model: ModelConfig,
): number {
  const bytes = linearMapCount(model) * (compute === "bf16" ? 2 : 4);
  const isSmall = storage === "as-is" && 2 * bytes <= MAX_PACKED_BYTES;
  return packing === "always" || (packing === "auto" && isSmall) ? bytes : 0;
}

/** Whether every worker is a process that reads the base for itself: where the config says so, or the engine needs it. */
export function isIsolated({ isolate }: Pick<TrainConfig, "isolate">, { processEnv }: EngineChoice): boolean {
  return isolate || processEnv !== undefined;
}

/** AdamW's inner loop beside an engine of that name: native where the engine is, else core's. The bits are the same. */
export function adamWUpdateFor(engineName: string): ReturnType<typeof createAdamWUpdate> | undefined {
  return engineName.startsWith("cpu/") ? createAdamWUpdate() : undefined;
}

/** @throws InputError with everything that is missing, and for GPUs that are not there, too few, too old or named twice. */
function cudaEngine(
  named: CudaEngineOptions,
  workers: number,
  model: ModelConfig,
): Pick<EngineChoice, "module" | "options" | "optionsForCells"> {
  const { gpus, missing } = gpuReports();
  const { compute = "f32", storage = "as-is" } = named;
  const usable = usableGpus();
  const devices = named.devices ?? (usable.length > 0 ? usable : gpus.map(({ ordinal }) => ordinal));
  const listed = gpus.map(({ ordinal, name }) => `${ordinal} (${name})`).join(", ") || "none";
  const problems = devices.flatMap((ordinal, i) => {
    const gpu = gpus[ordinal];
    if (devices.indexOf(ordinal) !== i) return [`GPU ${ordinal} is named twice: name each once`];
    if (gpu?.problem !== undefined) return [`GPU ${ordinal} (${gpu.name}): ${gpu.problem}`];
    return gpu ? [] : [`there is no GPU ${ordinal}, the driver lists ${listed}: name one of them`];
  });
  if (problems.length === 0 && workers > devices.length) {
    const found = named.devices
      ? `devices names ${count(devices.length)}`
      : `there ${devices.length === 1 ? "is" : "are"} ${count(devices.length)} that it can use, the driver lists ${listed}`;
    problems.push(`${found}, and workers is ${workers}, a GPU each is needed: use --workers ${devices.length}`);
  }
  const all = missing.length > 0 ? missing : problems;
  if (all.length > 0) throw new InputError("Cannot use the engine cuda", all);
  const options = { ...named, devices: devices.slice(0, workers) };
  return {
    module: import.meta.resolve("@zerogate/engine-cuda"),
    options,
    optionsForCells: (cells) => ({ ...options, plan: planCell(model, { ...cells, compute, storage }) }),
  };
}

const count = (gpus: number) => `${gpus} GPU${gpus === 1 ? "" : "s"}`;

/** @throws InputError where its packages are not installed, or the base alone is more than its memory can hold. */
function tfjsEngine(backend: TfjsBackend, model: ModelConfig): EngineChoice {
  const { missing, memoryBytes, weightCopies, processEnv } = tfjsTraits(backend);
  if (missing !== undefined) throw new InputError(`Cannot use the engine tfjs:${backend}`, missing);
  const needed = 4 * parameterCount(model);
  if (needed > memoryBytes) {
    const size = `the base has ${needed} bytes in f32, the engine's memory ends at ${memoryBytes}`;
    throw new InputError(`Cannot use the engine tfjs:${backend}`, `${size}: take another engine or a smaller base`);
  }
  const options: TfjsEngineOptions = { backend };
  const module = import.meta.resolve("@zerogate/engine-tfjs");
  const traits = { mapFiles: false, weightCopies, packedBytes: 0, isComposed: true, ...(processEnv && { processEnv }) };
  return { module, options, weightDtypes: ["f32"], storage: "as-is", ...traits };
}
