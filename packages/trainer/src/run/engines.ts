/** The engines that a config can name: the module that workers import, and the weight dtypes that it takes as they are. */
import { type DType, InputError, type ModelConfig, parameterCount } from "@zerogate/core";
import { probe } from "@zerogate/engine-cpu";
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
 * @throws InputError where the named engine does not run here, or where `auto` would choose a hopelessly slow one.
 */
export function chooseEngine(name: TrainConfig["engine"], model: ModelConfig, threads: number): EngineChoice {
  const report = probe();
  if (name === "reference") return reference();
  if (report.available) {
    const module = import.meta.resolve("@zerogate/engine-cpu");
    return { module, options: { threads }, weightDtypes: ["f32", "bf16", "f16"] };
  }
  if (name === "cpu") throw new InputError("Cannot use the engine cpu", report.reason ?? "it does not run here");
  if (parameterCount(model) > MAX_PARAMETERS_OF_A_SURPRISE) {
    const way = "mend it (zerogate doctor says more), or ask for the slow one with --engine reference";
    throw new InputError("Cannot choose an engine for a model of this size", `${report.reason}: ${way}`);
  }
  return reference();
}

const reference = (): EngineChoice => ({ ...referenceEngine(), weightDtypes: ["f32"] });
