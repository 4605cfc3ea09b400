/** The families that Zerogate computes, by `model_type`. */
import type { ModelConfig } from "../config.ts";
import type { Architecture, Family } from "./family.ts";
import { gemma } from "./gemma.ts";
import { gemma2 } from "./gemma2.ts";
import { gemma3 } from "./gemma3.ts";
import { gptNeox } from "./gpt_neox.ts";
import { gpt2 } from "./gpt2.ts";
import { granite } from "./granite.ts";
import { llama } from "./llama.ts";
import { ministral } from "./ministral.ts";
import { ministral3 } from "./ministral3.ts";
import { mistral } from "./mistral.ts";
import { mixtral } from "./mixtral.ts";
import { olmo2 } from "./olmo2.ts";
import { olmo3 } from "./olmo3.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";
import { qwen35 } from "./qwen3_5.ts";
import { qwen3Moe } from "./qwen3_moe.ts";
import { smollm3 } from "./smollm3.ts";
import { stablelm } from "./stablelm.ts";

export { missingIn } from "./refused.ts";

/** Model types to which PEFT attaches prompts. */
const peftModelTypes: readonly string[] = ["llama", "mistral", "gpt2"];

/** Whether PEFT itself says how prompts attach to this base. */
export function isKnownToPeft({ modelType }: Pick<ModelConfig, "modelType">): boolean {
  return peftModelTypes.includes(modelType);
}

/** Prompts of families that PEFT does not know join as in llama. Add a row for a new file. */
export const families: readonly Family[] = [
  llama,
  mistral,
  ministral,
  ministral3,
  qwen2,
  qwen3,
  qwen3Moe,
  qwen35,
  mixtral,
  phi3,
  smollm3,
  stablelm,
  granite,
  olmo2,
  olmo3,
  gemma,
  gemma2,
  gemma3,
  gpt2,
  gptNeox,
];

const byModelType: ReadonlyMap<unknown, Family> = new Map(families.map((family) => [family.modelType, family]));

/** The family of a `model_type` of a config.json; undefined if it is not supported. */
export function findFamily(modelType: unknown): Family | undefined {
  return byModelType.get(modelType);
}

/** @throws RangeError if there is no such family; `parseModelConfig` gives none. */
export function familyOf({ modelType }: { readonly modelType: string }): Family {
  const family = findFamily(modelType);
  if (!family)
    throw new RangeError(`Cannot compute a model of the family ${JSON.stringify(modelType)}: it is not known`);
  return family;
}

/**
 * What the layers of this model are built of.
 *
 * @example
 * architectureOf({ modelType: "gemma" }).activation; // "geglu"
 */
export function architectureOf(model: Pick<ModelConfig, "modelType" | "activation">): Architecture {
  const { architecture } = familyOf(model);
  return model.activation ? { ...architecture, activation: model.activation } : architecture;
}
