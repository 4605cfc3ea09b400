/** Granite 3: Llama whose embeddings, scores, layers and logits have multipliers. */
import type { ModelConfig } from "../config.ts";
import type { Family } from "./family.ts";
import { llamaArchitecture, llamaDefaults, llamaWeights, noWindow, readSizes, readTokens } from "./llama.ts";

export const granite: Family = {
  modelType: "granite",
  classes: ["GraniteForCausalLM", "GraniteModel"],
  architecture: llamaArchitecture,
  notNull: ["head_dim"],
  read(reading) {
    const { fields } = reading;
    const sizes = readSizes(reading, llamaDefaults);
    const multiplier = (name: string) => fields.number(name, { above: 0, fallback: 1 });
    const attentionBias = fields.boolean("attention_bias", false);
    return {
      ...sizes,
      ...noWindow,
      ...readTokens(fields, llamaDefaults),
      embedScale: multiplier("embedding_multiplier"),
      scoreScale: multiplier("attention_multiplier"),
      residualScale: multiplier("residual_multiplier"),
      logitScale: 1 / multiplier("logits_scaling"),
      qkvBias: attentionBias,
      outputBias: attentionBias,
      mlpBias: fields.boolean("mlp_bias", false),
    };
  },
  weights: (config) => llamaWeights(config, { ...scales(config) }),
};

const scales = ({ scoreScale, headDim, logitScale = 1 }: ModelConfig) => ({
  queryScale: scoreScale === undefined ? 1 : scoreScale * Math.sqrt(headDim),
  logitScale,
});
