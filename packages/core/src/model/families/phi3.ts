/** Phi-3, 3.5-mini, Phi-4 and Phi-4-mini: Llama with fused projections; part of a head rotates, and longrope stretches it. */
import type { Family } from "./family.ts";
import { llamaArchitecture, llamaDefaults, llamaWeights, readSizes, readTokens } from "./llama.ts";
import { readWindowSize, windows } from "./windows.ts";

const defaults = {
  ...llamaDefaults,
  contextLength: 4096,
  normEps: 1e-5,
  rope: {
    ropeTheta: 10_000,
    partialRotation: 1,
    originalContext: 4096,
    longropeNames: ["su", "yarn"], // what files of the first months call it
    types: ["default", "longrope"] as const,
  },
  eosTokenId: [32_000],
};

export const phi3: Family = {
  modelType: "phi3",
  classes: ["Phi3ForCausalLM", "Phi3Model"],
  architecture: llamaArchitecture,
  notNull: ["head_dim"],
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
  weights: (config) => llamaWeights(config, { fused: true }),
};
