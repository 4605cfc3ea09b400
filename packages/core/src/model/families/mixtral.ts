/** Mixtral: Mistral whose MLPs are experts, of which a router chooses two for each token. */
import type { ConfigReading, Family } from "./family.ts";
import { llamaArchitecture, llamaDefaults, llamaWeights, readSizes, readTokens } from "./llama.ts";
import { readWindowSize, windows } from "./windows.ts";

const defaults = {
  ...llamaDefaults,
  kvHeads: 8,
  contextLength: 131_072,
  normEps: 1e-5,
  rope: { ropeTheta: 1_000_000 },
};

export const mixtral: Family = {
  modelType: "mixtral",
  classes: ["MixtralForCausalLM", "MixtralModel"],
  architecture: llamaArchitecture,
  notNull: ["num_key_value_heads"],
  read(reading) {
    const { fields } = reading;
    const sizes = readSizes(reading, defaults);
    const size = readWindowSize(fields, 0);
    return {
      ...sizes,
      ...windows(fields, { size, named: undefined, layers: undefined, switches: "sliding_window gives" }),
      ...readTokens(fields, defaults),
      embedScale: 1,
      experts: {
        ...readRouter(reading, { countKey: "num_local_experts", count: 8, perToken: 2 }),
        intermediateSize: sizes.intermediateSize,
        isNormalized: true,
        denseLayers: [],
      },
      qkvBias: false,
      outputBias: false,
      mlpBias: false,
    };
  },
  weights: (config) => llamaWeights(config, { experts }),
};

const experts = {
  router: "block_sparse_moe.gate",
  expert: (e: number) => `block_sparse_moe.experts.${e}`,
  gate: "w1",
  up: "w3",
  down: "w2",
};

/** More experts than any model has; a bound for loops over a number from a file. */
const MAX_EXPERTS = 10_000;

/** Reads how many experts there are, and how many of them a token goes to. Keys of training alone are passed over. */
export function readRouter(
  { fields }: ConfigReading,
  fallback: { readonly countKey: string; readonly count: number; readonly perToken: number },
): { readonly count: number; readonly perToken: number } {
  const { countKey } = fallback;
  const count = fields.integer(countKey, { min: 1, max: MAX_EXPERTS, fallback: fallback.count });
  const perToken = fields.integer("num_experts_per_tok", { min: 1, fallback: fallback.perToken });
  if (perToken > count) fields.problem(`num_experts_per_tok is ${perToken}, needed is at most ${countKey} ${count}`);
  for (const name of ["output_router_logits", "router_aux_loss_coef", "router_jitter_noise"]) fields.raw(name);
  return { count, perToken };
}
