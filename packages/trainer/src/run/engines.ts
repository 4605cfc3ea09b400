/** The engines that a config can name: the module that workers import, and the weight dtypes that it takes as they are. */
import type { DType } from "@zerogate/core";
import { type EngineModule, referenceEngine } from "@zerogate/workers";
import type { TrainConfig } from "../config/train_config.ts";

export interface EngineChoice extends EngineModule {
  readonly weightDtypes: readonly DType[];
}

export function chooseEngine(name: TrainConfig["engine"]): EngineChoice {
  switch (name) {
    case "reference":
      return { ...referenceEngine(), weightDtypes: ["f32"] };
  }
}
