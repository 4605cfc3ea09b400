/** Mistral, which slides in every layer unless `layer_types` says which (transformers' ministral). */
import type { Family } from "./family.ts";
import { llamaArchitecture, llamaDefaults, llamaWeights, readSizes, readTokens } from "./llama.ts";
import { readSlidingLayers, readWindowSize, windows } from "./windows.ts";

const defaults = { ...llamaDefaults, kvHeads: 8, contextLength: 131_072 };

export const mistral: Family = {
  modelType: "mistral",
  classes: ["MistralForCausalLM", "MistralModel", "MinistralForCausalLM", "MinistralModel"],
  architecture: llamaArchitecture,
  read(reading) {
    const { fields } = reading;
    const sizes = readSizes(reading, defaults);
    const size = readWindowSize(fields);
    const named = readSlidingLayers(fields, sizes.layers);
    return {
      ...sizes,
      ...windows(fields, { size, named, layers: named, switches: "sliding_window gives" }),
      ...readTokens(fields, defaults),
      embedScale: 1,
      qkvBias: false, // ignores attention_bias, as transformers does
      outputBias: false,
      mlpBias: false,
    };
  },
  weights: (config) => llamaWeights(config),
};
