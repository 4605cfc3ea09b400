/** StableLM 2 and StableLM 3B: Llama's names with LayerNorm; a quarter of each head rotates. */
import type { Family } from "./family.ts";
import {
  checkWholeHeads,
  llamaArchitecture,
  llamaDefaults,
  llamaWeights,
  noWindow,
  readSizes,
  readTokens,
} from "./llama.ts";

const defaults = {
  ...llamaDefaults,
  kvHeads: 32,
  contextLength: 4096,
  normEps: 1e-5,
  normEpsKey: "layer_norm_eps" as const,
  rope: { ropeTheta: 10_000, partialRotation: 0.25 },
  bosTokenId: [0],
  eosTokenId: [0],
};

export const stablelm: Family = {
  modelType: "stablelm",
  classes: ["StableLmForCausalLM", "StableLmModel"],
  architecture: { ...llamaArchitecture, norm: "layer" },
  notNull: ["num_key_value_heads"],
  read(reading) {
    const { fields } = reading;
    const sizes = readSizes(reading, defaults);
    checkWholeHeads(fields, sizes);
    if (fields.boolean("qk_layernorm", false)) {
      fields.problem("qk_layernorm is true, supported are models without norms of queries and keys");
    }
    return {
      ...sizes,
      ...noWindow,
      ...readTokens(fields, defaults),
      embedScale: 1,
      parallelResidual: fields.boolean("use_parallel_residual", false),
      qkvBias: fields.boolean("use_qkv_bias", false),
      outputBias: false,
      mlpBias: false,
    };
  },
  weights: (config) => llamaWeights(config, { normBias: true, oneNorm: config.parallelResidual ?? false }),
};
