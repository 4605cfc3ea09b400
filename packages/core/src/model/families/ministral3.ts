/** Ministral 3 (2512): Mistral with yarn, and queries that grow with their position. */
import type { Family } from "./family.ts";
import { llamaArchitecture, llamaDefaults, llamaWeights, readSizes, readTokens } from "./llama.ts";
import { readWindowSize, windows } from "./windows.ts";

const defaults = {
  ...llamaDefaults,
  kvHeads: 8,
  headDim: 128,
  contextLength: 262_144,
  normEps: 1e-5,
  rope: {
    ropeTheta: 10_000,
    growsQueries: true,
    settings: {
      rope_type: "yarn",
      rope_theta: 1_000_000,
      factor: 16,
      original_max_position_embeddings: 16_384,
      beta_fast: 32,
      beta_slow: 1,
      mscale: 1,
      mscale_all_dim: 1,
      llama_4_scaling_beta: 0.1,
    },
  },
};

export const ministral3: Family = {
  modelType: "ministral3",
  classes: ["Ministral3ForCausalLM", "Ministral3Model"],
  architecture: llamaArchitecture,
  notNull: ["head_dim", "num_key_value_heads"],
  read(reading) {
    const { fields } = reading;
    const size = readWindowSize(fields, 0);
    return {
      ...readSizes(reading, defaults),
      ...windows(fields, { size, named: undefined, layers: undefined, switches: "sliding_window gives" }),
      ...readTokens(fields, defaults),
      embedScale: 1,
      qkvBias: false,
      outputBias: false,
      mlpBias: false,
    };
  },
  weights: (config) => llamaWeights(config),
};
