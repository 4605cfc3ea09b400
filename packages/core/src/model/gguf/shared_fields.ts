/** What architectures of GGUF files have in common: names of the tensors of a layer, sizes of heads, fields of norms. */
import type { ConfigFields } from "./architecture.ts";
import type { GgufKeys } from "./keys.ts";

/** Those of Llama and what is like it. */
export const layer = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

/** Gemma 2 and 3, OLMo 2: norms behind attention and MLP. */
export const outputNorms = {
  post_attention_norm: "post_attention_layernorm",
  post_ffw_norm: "post_feedforward_layernorm",
};

/** What a norm adds to the mean square. */
export const rmsEps = (keys: GgufKeys): ConfigFields => ({
  rms_norm_eps: keys.number("attention.layer_norm_rms_epsilon"),
});
/** The same of a LayerNorm. */
export const layerEps = (keys: GgufKeys): ConfigFields => ({
  layer_norm_eps: keys.number("attention.layer_norm_epsilon"),
});

/** The width of a head. All of it rotates. */
export function wholeHeads(keys: GgufKeys): ConfigFields {
  const { width, rotated } = headSizes(keys);
  if (rotated !== width) keys.problem(`rope.dimension_count is ${rotated}, needed is the width of a head, ${width}`);
  return { head_dim: width };
}

/** The width of a head, and how much of it rotates. */
export function headSizes(keys: GgufKeys): { readonly width: number; readonly rotated: number } {
  const heads = keys.count("attention.head_count", Number.NaN);
  const width = keys.count("attention.key_length", Math.floor(keys.count("embedding_length", Number.NaN) / heads));
  const values = keys.count("attention.value_length", width);
  if (values !== width) keys.problem(`attention.value_length is ${values}, needed is that of keys, ${width}`);
  return { width, rotated: keys.count("rope.dimension_count", width) };
}
