/** Gemma 3, text: Gemma with norms of queries, keys and outputs; five of six layers have a window and a rotation of their own. */
import type { ModelConfig } from "../config.ts";
import type { Family } from "./family.ts";
import { embedScale, gemmaDefaults } from "./gemma.ts";
import { llamaArchitecture, llamaWeights, readSizes, readTokens } from "./llama.ts";
import { readPatternedWindows } from "./windows.ts";

const defaults = {
  ...gemmaDefaults,
  kvHeads: 4,
  contextLength: 131_072,
  rope: { ropeTheta: 1_000_000, sliding: { ropeTheta: 10_000, ropeThetaKey: "rope_local_base_freq" } },
  activationKey: "hidden_activation",
  activations: ["gelu_pytorch_tanh", "gelu_new"],
};

export const gemma3: Family = {
  modelType: "gemma3_text",
  classes: ["Gemma3ForCausalLM", "Gemma3TextModel"],
  architecture: { ...llamaArchitecture, activation: "geglu" },
  notNull: ["head_dim", "num_key_value_heads", "query_pre_attn_scalar"],
  read(reading) {
    const { fields } = reading;
    const sizes = readSizes(reading, defaults);
    if (fields.boolean("use_bidirectional_attention", false)) {
      fields.problem("use_bidirectional_attention is true, supported is causal attention");
    }
    for (const cap of ["attn_logit_softcapping", "final_logit_softcapping"]) {
      if (fields.raw(cap) !== undefined) fields.problem(`${cap} is set, supported are models without soft caps`);
    }
    const attentionBias = fields.boolean("attention_bias", false);
    fields.raw("_sliding_window_pattern"); // written beside layer_types, and not read by transformers either
    const every = fields.integer("sliding_window_pattern", { min: 1, fallback: 6 });
    return {
      ...sizes,
      ...readPatternedWindows(fields, sizes.layers, every),
      ...readTokens(fields, defaults),
      embedScale: embedScale(fields, sizes.hiddenSize),
      scoreScale: fields.number("query_pre_attn_scalar", { above: 0, fallback: 256 }) ** -0.5,
      qkNorm: "head",
      outputNorms: "after",
      qkvBias: attentionBias,
      outputBias: attentionBias,
      mlpBias: false,
    };
  },
  weights: (config) => llamaWeights(config, { normChange: "add-one", queryScale: queryScale(config), normNames }),
};

const normNames = {
  mlp: "pre_feedforward_layernorm",
  attentionOutput: "post_attention_layernorm",
  mlpOutput: "post_feedforward_layernorm",
};

const queryScale = ({ scoreScale, headDim }: ModelConfig) => (scoreScale ?? 1) * Math.sqrt(headDim);
