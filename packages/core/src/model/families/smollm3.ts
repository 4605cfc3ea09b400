/** SmolLM3: Llama in which every fourth layer is not rotated (NoPE). */
import { type JsonFields, shown } from "../../formats/json_fields.ts";
import type { Family } from "./family.ts";
import { llamaArchitecture, llamaDefaults, llamaWeights, readSizes, readTokens } from "./llama.ts";
import { readSlidingLayers, readWindowSize, windows } from "./windows.ts";

const defaults = {
  ...llamaDefaults,
  kvHeads: 4,
  contextLength: 32_768,
  rope: { ropeTheta: 2e6 },
  tiedEmbeddings: true,
  bosTokenId: [128_000],
  eosTokenId: [128_001],
};

export const smollm3: Family = {
  modelType: "smollm3",
  classes: ["SmolLM3ForCausalLM", "SmolLM3Model"],
  architecture: llamaArchitecture,
  notNull: ["head_dim"],
  read(reading) {
    const { fields } = reading;
    const sizes = readSizes(reading, defaults);
    const unrotatedLayers = readUnrotatedLayers(fields, sizes.layers);
    const isOn = fields.boolean("use_sliding_window", false);
    const size = readWindowSize(fields, 0);
    const named = readSlidingLayers(fields, sizes.layers);
    const switches = "use_sliding_window and sliding_window give";
    const attentionBias = fields.boolean("attention_bias", false);
    return {
      ...sizes,
      ...(unrotatedLayers.length > 0 && { unrotatedLayers }),
      ...windows(fields, { size: isOn ? size : 0, named, layers: named ?? unrotatedLayers, switches }),
      ...readTokens(fields, defaults),
      embedScale: 1,
      qkvBias: attentionBias,
      outputBias: attentionBias,
      mlpBias: fields.boolean("mlp_bias", false),
    };
  },
  weights: (config) => llamaWeights(config),
};

/** Reads `no_rope_layers`, in which 1 means rotated; without it every `no_rope_layer_interval`-th layer is not. */
function readUnrotatedLayers(fields: JsonFields, layers: number): number[] {
  const interval = fields.integer("no_rope_layer_interval", { min: 1, fallback: 4 });
  const flags = fields.raw("no_rope_layers");
  if (flags === undefined)
    return Array.from({ length: layers || 0 }, (_, i) => i).filter((i) => (i + 1) % interval === 0);
  if (!Array.isArray(flags) || flags.length < layers || !flags.every((flag) => flag === 0 || flag === 1)) {
    fields.problem(`no_rope_layers is ${shown(flags)}, needed is a list of ${layers} numbers, each 0 or 1`);
    return [];
  }
  return flags.flatMap((flag, i) => (flag === 0 && i < layers ? [i] : []));
}
