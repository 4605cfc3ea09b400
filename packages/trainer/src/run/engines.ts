/** The engines that a config can name: the module that workers import, and the weight dtypes that it takes as they are. */
import { type DType, InputError, type ModelConfig, parameterCount } from "@zerogate/core";
import { type CpuEngineOptions, probe } from "@zerogate/engine-cpu";
import { type EngineModule, referenceEngine } from "@zerogate/workers";
import type { TrainConfig } from "../config/train_config.ts";

export interface EngineChoice extends EngineModule {
  readonly weightDtypes: readonly DType[];
}

/** Above this the reference engine is a mistake unless somebody asked for it: a step of it would take minutes. */
const MAX_PARAMETERS_OF_A_SURPRISE = 20_000_000;

/**
 * `auto` is the native CPU engine where it runs, else the reference engine.
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
  if (engine !== "reference" && report.available) {
    if (compute === "bf16" && !report.bf16Levels.includes(report.level ?? "")) {
      throw new InputError("Cannot compute in bf16", `this machine's level is ${report.level}: use --compute f32`);
    }
    const options: CpuEngineOptions = { threads, compute };
    return { module: import.meta.resolve("@zerogate/engine-cpu"), options, weightDtypes: ["f32", "bf16", "f16"] };
  }
  if (engine === "cpu") throw new InputError("Cannot use the engine cpu", report.reason ?? "it does not run here");
  if (compute === "bf16") {
    throw new InputError("Cannot compute in bf16", "the reference engine has f32 only: use --compute f32");
  }
  if (engine === "auto" && parameterCount(model) > MAX_PARAMETERS_OF_A_SURPRISE) {
    const way = "mend it (zerogate doctor says more), or ask for the slow one with --engine reference";
    throw new InputError("Cannot choose an engine for a model of this size", `${report.reason}: ${way}`);
  }
  return { ...referenceEngine(), weightDtypes: ["f32"] };
}
