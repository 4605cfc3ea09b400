/** Gemma 3, text: Gemma 2 with norms of queries and keys; five of six layers have a window and a rotation of their own. */
import type { Family } from "./family.ts";
import { gemma2, gemma2Defaults, normedGemmaWeights, readNormedGemma } from "./gemma2.ts";
import { readSizes, readTokens } from "./llama.ts";
import { readPatternedWindows } from "./windows.ts";

const defaults = {
  ...gemma2Defaults,
  contextLength: 131_072,
  rope: { ropeTheta: 1_000_000, sliding: { ropeTheta: 10_000, ropeThetaKey: "rope_local_base_freq" } },
};

export const gemma3: Family = {
  ...gemma2,
  modelType: "gemma3_text",
  classes: ["Gemma3ForCausalLM", "Gemma3TextModel"],
  read(reading) {
    const { fields } = reading;
    const sizes = readSizes(reading, defaults);
    fields.raw("_sliding_window_pattern"); // written beside layer_types, and not read by transformers either
    const every = fields.integer("sliding_window_pattern", { min: 1, fallback: 6 });
    return {
      ...sizes,
      ...readPatternedWindows(fields, sizes.layers, every),
      ...readTokens(fields, defaults),
      ...readNormedGemma(fields, sizes.hiddenSize, {}),
      qkNorm: "head",
    };
  },
  weights: (config) => normedGemmaWeights(config),
};
