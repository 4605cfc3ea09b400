/** GPT-2 and GPT-NeoX in GGUF files. */
import type { GgufArchitecture } from "./architecture.ts";
import { ropeFields } from "./rope.ts";
import { headSizes, layerEps } from "./shared_fields.ts";

/** Pythia. */
export const gptNeox: GgufArchitecture = {
  layers: "gpt_neox.layers",
  model: {
    token_embd: "gpt_neox.embed_in",
    output_norm: "gpt_neox.final_layer_norm",
    output: "embed_out",
  },
  layer: {
    attn_norm: "input_layernorm",
    attn_qkv: "attention.query_key_value",
    attn_output: "attention.dense",
    ffn_norm: "post_attention_layernorm",
    ffn_up: "mlp.dense_h_to_4h",
    ffn_down: "mlp.dense_4h_to_h",
  },
  rows: "kinds",
  config(keys, contents) {
    const { width, rotated } = headSizes(keys);
    const { rope_theta, rope_scaling } = ropeFields(keys, contents);
    return {
      model_type: "gpt_neox",
      ...layerEps(keys),
      rotary_emb_base: rope_theta,
      ...(rope_scaling !== undefined && { rope_scaling }),
      rotary_pct: rotated / width,
      use_parallel_residual: keys.boolean("use_parallel_residual", true),
      hidden_act: "gelu",
    };
  },
};

export const gpt2: GgufArchitecture = {
  layers: "transformer.h",
  model: {
    token_embd: "transformer.wte",
    position_embd: "transformer.wpe",
    output_norm: "transformer.ln_f",
    output: "lm_head",
  },
  layer: {
    attn_norm: "ln_1",
    attn_qkv: "attn.c_attn",
    attn_output: "attn.c_proj",
    ffn_norm: "ln_2",
    ffn_up: "mlp.c_fc",
    ffn_down: "mlp.c_proj",
  },
  turnsMaps: true,
  config: (keys) => ({
    model_type: "gpt2",
    layer_norm_epsilon: keys.number("attention.layer_norm_epsilon"),
    n_inner: keys.count("feed_forward_length"),
    intermediate_size: undefined,
    num_key_value_heads: undefined,
  }),
};
