/**
 * Qwen 3.5 and 3.6, text: three of four layers have a gated delta net; the others attend as Qwen 3 does, with a quarter of each head
 * rotated and a gate on what comes out. Norms are stored as their distance from 1.
 */
import { type JsonFields, shown } from "../../formats/json_fields.ts";
import type { DeltaConfig } from "../config.ts";
import type { Family } from "./family.ts";
import { llamaArchitecture, llamaDefaults, llamaWeights, noWindow, readSizes, readTokens } from "./llama.ts";

const defaults = {
  ...llamaDefaults,
  kvHeads: 4,
  headDim: 256,
  contextLength: 32_768,
  // Positions in time, height and width are the same for a text.
  rope: { ropeTheta: 10_000, partialRotation: 0.25, withoutMeaning: ["mrope_section", "mrope_interleaved"] },
  bosTokenId: [],
  eosTokenId: [],
};

export const qwen35: Family = {
  modelType: "qwen3_5_text",
  classes: ["Qwen3_5ForCausalLM", "Qwen3_5TextModel", "Qwen3_5ForConditionalGeneration"],
  architecture: llamaArchitecture,
  notNull: ["head_dim", "num_key_value_heads"],
  read(reading) {
    const { fields } = reading;
    const sizes = readSizes(reading, defaults);
    const attentionBias = fields.boolean("attention_bias", false);
    const deltaNet = readDeltaNet(fields, sizes.layers);
    if (!fields.boolean("attn_output_gate", true)) {
      fields.problem("attn_output_gate is false, supported is attention with gates on its output");
    }
    for (const name of ["mtp_num_hidden_layers", "mtp_use_dedicated_embeddings", "mamba_ssm_dtype"]) fields.raw(name);
    return {
      ...sizes,
      ...noWindow,
      ...readTokens(fields, defaults),
      embedScale: 1,
      qkNorm: "head",
      outputGate: true,
      ...(deltaNet.layers.length > 0 && { deltaNet }),
      qkvBias: attentionBias,
      outputBias: attentionBias,
      mlpBias: false,
    };
  },
  weights: (config) => llamaWeights(config, { normChange: "add-one" }),
};

/** Reads which layers have a delta net, and its sizes. */
function readDeltaNet(fields: JsonFields, layers: number): DeltaConfig {
  const size = (name: string, fallback: number) => fields.integer(`linear_${name}`, { min: 1, fallback });
  const [keyHeads, valueHeads] = [size("num_key_heads", 16), size("num_value_heads", 32)];
  if (valueHeads % keyHeads > 0) {
    fields.problem(`linear_num_value_heads is ${valueHeads}, needed is a multiple of the ${keyHeads} key heads`);
  }
  return {
    layers: readDeltaLayers(fields, layers),
    keyHeads,
    valueHeads,
    keyDim: size("key_head_dim", 128),
    valueDim: size("value_head_dim", 128),
    taps: size("conv_kernel_dim", 4),
  };
}

/** By `layer_types`, else all but every `full_attention_interval`-th. */
function readDeltaLayers(fields: JsonFields, layers: number): readonly number[] {
  const interval = fields.integer("full_attention_interval", { min: 1, fallback: 4 });
  const types = fields.raw("layer_types");
  const all = Array.from({ length: layers || 0 }, (_, i) => i);
  if (types === undefined) return all.filter((i) => (i + 1) % interval !== 0);
  const known = ["linear_attention", "full_attention"];
  if (!Array.isArray(types) || types.length !== layers || !types.every((type) => known.includes(type))) {
    const needed = `a list of ${layers} names, each one of ${known.join(", ")}`;
    fields.problem(`layer_types is ${shown(types)}, needed is ${needed}`);
    return [];
  }
  return all.filter((i) => types[i] === "linear_attention");
}
