/** Qwen3, dense: Llama with norms of queries and keys by head, and heads that may be wider than D / H; slides as Qwen2. */
import type { Family } from "./family.ts";
import { llamaArchitecture, llamaDefaults, llamaWeights, readSizes, readTokens } from "./llama.ts";
import { readQwenWindows } from "./qwen2.ts";

const defaults = {
  ...llamaDefaults,
  kvHeads: 32,
  headDim: 128,
  contextLength: 32_768,
  bosTokenId: [],
  eosTokenId: [],
};

export const qwen3: Family = {
  modelType: "qwen3",
  classes: ["Qwen3ForCausalLM", "Qwen3Model"],
  architecture: llamaArchitecture,
  notNull: ["head_dim"],
  read(reading) {
    const { fields } = reading;
    const sizes = readSizes(reading, defaults);
    const attentionBias = fields.boolean("attention_bias", false);
    return {
      ...sizes,
      ...readQwenWindows(fields, sizes.layers),
      ...readTokens(fields, defaults),
      embedScale: 1,
      qkNorm: "head",
      qkvBias: attentionBias,
      outputBias: attentionBias,
      mlpBias: false,
    };
  },
  weights: (config) => llamaWeights(config),
};
