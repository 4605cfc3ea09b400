/** Qwen3 with experts (30B-A3B, Coder): layers that a config names, or that its step leaves out, have one MLP as Qwen3 does. */
import { type JsonFields, shown } from "../../formats/json_fields.ts";
import type { ExpertsConfig } from "../config.ts";
import type { ConfigReading, Family } from "./family.ts";
import { llamaArchitecture, llamaDefaults, llamaWeights, readSizes, readTokens } from "./llama.ts";
import { readRouter } from "./mixtral.ts";
import { readWindowSize, windows } from "./windows.ts";

const defaults = { ...llamaDefaults, kvHeads: 4, contextLength: 32_768, bosTokenId: [], eosTokenId: [] };

export const qwen3Moe: Family = {
  modelType: "qwen3_moe",
  classes: ["Qwen3MoeForCausalLM", "Qwen3MoeModel"],
  architecture: llamaArchitecture,
  notNull: ["head_dim", "num_key_value_heads"],
  read(reading) {
    const { fields } = reading;
    const sizes = readSizes(reading, defaults);
    const isOn = fields.boolean("use_sliding_window", false);
    const size = readWindowSize(fields);
    const attentionBias = fields.boolean("attention_bias", false);
    const experts = readExperts(reading, sizes.layers);
    return {
      ...sizes,
      ...windows(fields, {
        size: isOn ? size : 0,
        named: undefined,
        layers: undefined,
        switches: "use_sliding_window and sliding_window give",
      }),
      ...readTokens(fields, defaults),
      embedScale: 1,
      qkNorm: "head",
      ...(experts && { experts }),
      qkvBias: attentionBias,
      outputBias: attentionBias,
      mlpBias: false,
    };
  },
  weights: (config) => llamaWeights(config, { experts: names }),
};

const names = {
  router: "mlp.gate",
  expert: (e: number) => `mlp.experts.${e}`,
  gate: "gate_proj",
  up: "up_proj",
  down: "down_proj",
};

/** Undefined if no layer has experts. */
function readExperts(reading: ConfigReading, layers: number): ExpertsConfig | undefined {
  const { fields } = reading;
  const dense = readDenseLayers(fields, layers);
  const intermediateSize = fields.integer("moe_intermediate_size", { min: 1, fallback: 768 });
  const isNormalized = fields.boolean("norm_topk_prob", false);
  const countKey = fields.raw("num_experts") === undefined ? "num_local_experts" : "num_experts";
  const isNone = fields.raw(countKey) === 0;
  if (isNone) fields.raw("num_experts_per_tok");
  const router = isNone ? undefined : readRouter(reading, { countKey, count: 128, perToken: 8 });
  if (!router || dense.length === layers) return undefined;
  return { ...router, intermediateSize, isNormalized, denseLayers: dense };
}

/** Layers of `mlp_only_layers`, and those that are not each `decoder_sparse_step`-th. */
function readDenseLayers(fields: JsonFields, layers: number): number[] {
  const step = fields.integer("decoder_sparse_step", { min: 1, fallback: 1 });
  const only = fields.raw("mlp_only_layers") ?? [];
  if (!Array.isArray(only) || !only.every((layer) => Number.isInteger(layer))) {
    fields.problem(`mlp_only_layers is ${shown(only)}, needed is a list of numbers of layers`);
    return [];
  }
  const isDense = (i: number) => only.includes(i) || (i + 1) % step !== 0;
  return Array.from({ length: layers || 0 }, (_, i) => i).filter(isDense);
}
