/** The engines that a config can name: the module that workers import, and the weight dtypes that it takes as they are. */
import { type DType, InputError, type ModelConfig, parameterCount } from "@zerogate/core";
import { type CpuEngineOptions, createAdamWUpdate, probe } from "@zerogate/engine-cpu";
import { type EngineModule, referenceEngine } from "@zerogate/workers";
import type { TrainConfig } from "../config/train_config.ts";

export interface EngineChoice extends EngineModule {
  readonly weightDtypes: readonly DType[];
  /** Whether it uses weights where they lie in their files (`Engine.mapped`). */
  readonly mapFiles?: boolean;
  /** Whether every worker has weights in memory of its own. */
  readonly copiesWeights?: boolean;
}

/** A larger base would take minutes a step, and each worker a copy of it, so it runs there only where somebody asked for it. */
const MAX_PARAMETERS_OF_A_SURPRISE = 300_000_000;

/**
 * `auto` is the native CPU engine where it runs, else the same kernels in WebAssembly.
 *
 * @param threads of one engine: device workers have one each, a single model in this thread may use all cores.
 * @throws InputError where what is named does not run here, or where `auto` would choose a hopelessly slow engine.
 */
export function chooseEngine(
  { engine, compute }: Pick<TrainConfig, "engine" | "compute">,
  model: ModelConfig,
  threads: number,
): EngineChoice {
  const report = probe();
  const chosen = engine === "auto" ? (report.available ? "cpu" : "wasm") : engine;
  if (compute === "bf16" && !(chosen === "cpu" && report.bf16Levels.includes(report.level ?? ""))) {
    const level = chosen === "cpu" ? `${chosen} at this machine's level (${report.level})` : chosen;
    throw new InputError("Cannot compute in bf16", `the engine ${level} has f32 only: use --compute f32`);
  }
  if (engine === "auto" && chosen === "wasm" && parameterCount(model) > MAX_PARAMETERS_OF_A_SURPRISE) {
    const way = "mend it (zerogate doctor says more), or ask for the slow one with --engine wasm";
    throw new InputError("Cannot choose an engine for a model of this size", `${report.reason}: ${way}`);
  }
  const weightDtypes = ["f32", "bf16", "f16"] as const;
  switch (chosen) {
    case "cpu": {
      if (!report.available) throw new InputError("Cannot use the engine cpu", report.reason ?? "it does not run here");
      const options: CpuEngineOptions = { threads, compute };
      return { module: import.meta.resolve("@zerogate/engine-cpu"), options, weightDtypes, mapFiles: report.mapsFiles };
    }
    case "wasm":
      return {
        module: import.meta.resolve("@zerogate/engine-cpu/wasm"),
        options: {},
        weightDtypes,
        copiesWeights: true,
      };
    case "reference":
      return { ...referenceEngine(), weightDtypes: ["f32"] };
  }
}

/** AdamW's inner loop beside an engine of that name: native where the engine is, else core's. The bits are the same. */
export function adamWUpdateFor(engineName: string): ReturnType<typeof createAdamWUpdate> | undefined {
  return engineName.startsWith("cpu/") ? createAdamWUpdate() : undefined;
}
