/** OLMo 2: norms behind attention and MLP instead of in front, and norms over all queries and all keys of a token. */
import type { ModelConfig } from "../config.ts";
import type { ConfigReading, Family } from "./family.ts";
import {
  llamaArchitecture,
  llamaDefaults,
  llamaWeights,
  noWindow,
  readSizes,
  readTokens,
  type Sizes,
} from "./llama.ts";
import type { Windows } from "./windows.ts";

export const olmoDefaults: typeof llamaDefaults = {
  ...llamaDefaults,
  normEps: 1e-5,
  bosTokenId: [],
  eosTokenId: [50_279],
};

export const olmo2: Family = {
  modelType: "olmo2",
  classes: ["Olmo2ForCausalLM", "Olmo2Model"],
  architecture: llamaArchitecture,
  notNull: ["head_dim"],
  read: (reading) => ({ ...readSizes(reading, olmoDefaults), ...noWindow, ...readOlmo(reading) }),
  weights: (config) => llamaWeights(config),
};

/** Reads what OLMo 2 and 3 share. */
export function readOlmo({ fields }: ConfigReading): Omit<ModelConfig, "modelType" | keyof Sizes | keyof Windows> {
  const attentionBias = fields.boolean("attention_bias", false);
  return {
    ...readTokens(fields, olmoDefaults),
    embedScale: 1,
    qkNorm: "all-heads",
    outputNorms: "after-only",
    qkvBias: attentionBias,
    outputBias: attentionBias,
    mlpBias: false,
  };
}
