/**
 * Architectures of GGUF files that are read, by `general.architecture`: what their metadata says in the words of a config.json, and
 * what their tensors are called in transformers. Both are the reverse of llama.cpp's converter (its folder `conversion/`, of 2026);
 * what llama.cpp knows of a model without a key, its loaders say (`src/models/NAME.cpp`).
 */
import type { ConfigFields, GgufArchitecture } from "./architecture.ts";
import type { GgufKeys } from "./keys.ts";
import { ropeFields } from "./rope.ts";

const layer = {
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
const outputNorms = { post_attention_norm: "post_attention_layernorm", post_ffw_norm: "post_feedforward_layernorm" };
const gemmaLayer = { ...layer, ...outputNorms, ffn_norm: "pre_feedforward_layernorm" };

const rmsEps = (keys: GgufKeys) => ({ rms_norm_eps: keys.number("attention.layer_norm_rms_epsilon") });
const layerEps = (keys: GgufKeys) => ({ layer_norm_eps: keys.number("attention.layer_norm_epsilon") });

/** The width of a head. All of it rotates. */
function wholeHeads(keys: GgufKeys): ConfigFields {
  const { width, rotated } = headSizes(keys);
  if (rotated !== width) keys.problem(`rope.dimension_count is ${rotated}, needed is the width of a head, ${width}`);
  return { head_dim: width };
}

/** The width of a head, and how much of it rotates. */
function headSizes(keys: GgufKeys): { readonly width: number; readonly rotated: number } {
  const heads = keys.count("attention.head_count", Number.NaN);
  const width = keys.count("attention.key_length", Math.floor(keys.count("embedding_length", Number.NaN) / heads));
  const values = keys.count("attention.value_length", width);
  if (values !== width) keys.problem(`attention.value_length is ${values}, needed is that of keys, ${width}`);
  return { width, rotated: keys.count("rope.dimension_count", width) };
}

/** How many experts there are, and how many of them a token goes to; undefined without any. */
function expertCounts(keys: GgufKeys): { readonly count: number; readonly perToken: number } | undefined {
  if ((keys.raw("expert_count") ?? 0) === 0) return undefined;
  return { count: keys.count("expert_count"), perToken: keys.count("expert_used_count") };
}

/** Llama (1 to 3), Mistral and Mixtral, which llama.cpp calls llama too. */
const llama: GgufArchitecture = {
  layer: { ...layer, ffn_gate_inp: "block_sparse_moe.gate" },
  experts: {
    ffn_gate_exps: "block_sparse_moe.experts.*.w1",
    ffn_up_exps: "block_sparse_moe.experts.*.w3",
    ffn_down_exps: "block_sparse_moe.experts.*.w2",
  },
  rows: "pairs",
  config(keys, contents) {
    const window = keys.raw("attention.sliding_window");
    const experts = expertCounts(keys);
    const fields = {
      ...rmsEps(keys),
      ...wholeHeads(keys),
      ...ropeFields(keys, contents),
    };
    if (experts) {
      const { count, perToken } = experts;
      const router = { num_local_experts: count, num_experts_per_tok: perToken };
      return { ...fields, model_type: "mixtral", ...router, sliding_window: window === 0 ? null : (window ?? null) };
    }
    if (window !== undefined && window !== 0) return { ...fields, model_type: "mistral", sliding_window: window };
    return {
      ...fields,
      model_type: "llama",
      attention_bias: contents.has("blk.0.attn_q.bias"),
      mlp_bias: contents.has("blk.0.ffn_up.bias"),
    };
  },
};

/** Mistral Small 3, which is a Mistral, and Ministral 3, whose queries grow with their position. */
const mistral3: GgufArchitecture = {
  ...llama,
  config(keys, contents) {
    const beta = keys.raw("attention.temperature_scale");
    if (beta === undefined) return llama.config(keys, contents);
    const { rope_theta, rope_scaling } = ropeFields(keys, contents);
    const original = keys.count("rope.scaling.original_context_length");
    const length = keys.count("attention.temperature_length", original);
    if (length !== original) keys.problem(`attention.temperature_length is ${length}, needed is ${original}`);
    return {
      model_type: "ministral3",
      ...rmsEps(keys),
      ...wholeHeads(keys),
      rope_parameters: {
        ...(rope_scaling ?? { rope_type: "default", original_max_position_embeddings: original }),
        rope_theta,
        llama_4_scaling_beta: keys.number("attention.temperature_scale"),
      },
      sliding_window: null,
    };
  },
};

const qwen2: GgufArchitecture = {
  layer,
  config: (keys, contents) => ({
    model_type: "qwen2",
    ...rmsEps(keys),
    ...wholeHeads(keys),
    ...ropeFields(keys, contents),
  }),
};

const qwen3: GgufArchitecture = {
  ...qwen2,
  config: (keys, contents) => ({
    ...qwen2.config(keys, contents),
    model_type: "qwen3",
    attention_bias: contents.has("blk.0.attn_q.bias"),
  }),
};

/** llama.cpp has no dense layers among those with experts, and always divides the weights of the chosen ones by their sum. */
const qwen3moe: GgufArchitecture = {
  layer: { ...layer, ffn_gate_inp: "mlp.gate" },
  experts: {
    ffn_gate_exps: "mlp.experts.*.gate_proj",
    ffn_up_exps: "mlp.experts.*.up_proj",
    ffn_down_exps: "mlp.experts.*.down_proj",
  },
  config(keys, contents) {
    const [count, perToken] = [keys.count("expert_count"), keys.count("expert_used_count")];
    const share = Math.floor(keys.count("feed_forward_length", Number.NaN) / perToken);
    return {
      ...qwen3.config(keys, contents),
      model_type: "qwen3_moe",
      num_experts: count,
      num_experts_per_tok: perToken,
      moe_intermediate_size: keys.count("expert_feed_forward_length", share),
      norm_topk_prob: true,
    };
  },
};

const gemma: GgufArchitecture = {
  layer,
  normsHoldOne: true,
  config: (keys, contents) => ({
    model_type: "gemma",
    ...rmsEps(keys),
    ...wholeHeads(keys),
    ...ropeFields(keys, contents),
  }),
};

/** Scores are divided by the root of it; of the largest model it is D / H, and llama.cpp tells that one by its layers. */
function scoreDivisor(keys: GgufKeys, largest: number): number {
  const share = keys.count("embedding_length", Number.NaN) / keys.count("attention.head_count", Number.NaN);
  return keys.count("block_count", Number.NaN) === largest ? share : headSizes(keys).width;
}

const gemma2: GgufArchitecture = {
  layer: gemmaLayer,
  normsHoldOne: true,
  config: (keys, contents) => ({
    model_type: "gemma2",
    ...rmsEps(keys),
    ...wholeHeads(keys),
    ...ropeFields(keys, contents),
    sliding_window: keys.count("attention.sliding_window", 4096),
    query_pre_attn_scalar: scoreDivisor(keys, 46),
    attn_logit_softcapping: keys.number("attn_logit_softcapping", 50),
    final_logit_softcapping: keys.number("final_logit_softcapping", 30),
  }),
};

const gemma3: GgufArchitecture = {
  layer: gemmaLayer,
  normsHoldOne: true,
  config(keys, contents) {
    const { rope_theta, rope_scaling } = ropeFields(keys, contents, 1_000_000);
    const window = keys.raw("attention.sliding_window");
    const cap = keys.raw("final_logit_softcapping");
    const layers = keys.count("block_count", Number.NaN) || 0;
    return {
      model_type: "gemma3_text",
      ...rmsEps(keys),
      ...wholeHeads(keys),
      rope_theta,
      rope_scaling: rope_scaling ?? null,
      rope_local_base_freq: keys.number("rope.freq_base_swa", 10_000),
      query_pre_attn_scalar: scoreDivisor(keys, 62),
      ...(window === undefined
        ? { layer_types: Array.from({ length: Math.min(layers, 10_000) }, () => "full_attention") }
        : { sliding_window: window }),
      ...(cap !== undefined && { final_logit_softcapping: cap }),
    };
  },
};

const phi3: GgufArchitecture = {
  layer: { ...layer, attn_qkv: "self_attn.qkv_proj", ffn_up: "mlp.gate_up_proj" },
  config(keys, contents) {
    const { width, rotated } = headSizes(keys);
    const window = keys.raw("attention.sliding_window");
    const rope = ropeFields(keys, contents);
    const originalContext = keys.count("rope.scaling.original_context_length");
    return {
      model_type: "phi3",
      ...rmsEps(keys),
      ...rope,
      ...(rope.rope_scaling && { original_max_position_embeddings: originalContext }),
      ...(rotated !== width && { partial_rotary_factor: rotated / width }),
      sliding_window: window === 0 ? null : (window ?? null),
    };
  },
};

const stablelm: GgufArchitecture = {
  layer,
  config(keys, contents) {
    const { width, rotated } = headSizes(keys);
    return {
      model_type: "stablelm",
      ...layerEps(keys),
      ...ropeFields(keys, contents),
      partial_rotary_factor: rotated / width,
      use_qkv_bias: contents.has("blk.0.attn_q.bias"),
      qk_layernorm: contents.has("blk.0.attn_q_norm.weight"),
      use_parallel_residual: keys.boolean("use_parallel_residual", false),
    };
  },
};

const granite: GgufArchitecture = {
  layer,
  rows: "pairs",
  config: (keys, contents) => ({
    model_type: "granite",
    ...rmsEps(keys),
    ...wholeHeads(keys),
    ...ropeFields(keys, contents),
    attention_bias: contents.has("blk.0.attn_q.bias"),
    mlp_bias: contents.has("blk.0.ffn_up.bias"),
    embedding_multiplier: keys.number("embedding_scale", 1),
    attention_multiplier: keys.number("attention.scale", 1),
    residual_multiplier: keys.number("residual_scale", 1),
    logits_scaling: keys.number("logit_scale", 1),
  }),
};

/** OLMo 2, and OLMo 3 by its windows. */
const olmo2: GgufArchitecture = {
  layer: { ...layer, ...outputNorms },
  config(keys, contents) {
    const pattern = keys.raw("attention.sliding_window_pattern");
    const fields = { ...rmsEps(keys), ...wholeHeads(keys), ...ropeFields(keys, contents) };
    if (pattern === undefined) return { ...fields, model_type: "olmo2" };
    const flags = typeof pattern === "object" && pattern.length <= 10_000 ? pattern.values() : [];
    return {
      ...fields,
      model_type: "olmo3",
      sliding_window: keys.count("attention.sliding_window"),
      layer_types: flags.map((slides) => (slides === true ? "sliding_attention" : "full_attention")),
    };
  },
};

const smollm3: GgufArchitecture = {
  layer,
  rows: "pairs",
  config: (keys, contents) => ({
    model_type: "smollm3",
    ...rmsEps(keys),
    ...wholeHeads(keys),
    ...ropeFields(keys, contents),
    attention_bias: contents.has("blk.0.attn_q.bias"),
    no_rope_layer_interval: 4, // llama.cpp's loader has no other
  }),
};

/** Pythia. */
const gptNeox: GgufArchitecture = {
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

const gpt2: GgufArchitecture = {
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

/** Add a row for a further one. */
export const ggufArchitectures: ReadonlyMap<string, GgufArchitecture> = new Map([
  ["llama", llama],
  ["mistral3", mistral3],
  ["qwen2", qwen2],
  ["qwen3", qwen3],
  ["qwen3moe", qwen3moe],
  ["gemma", gemma],
  ["gemma2", gemma2],
  ["gemma3", gemma3],
  ["phi3", phi3],
  ["stablelm", stablelm],
  ["granite", granite],
  ["olmo2", olmo2],
  ["smollm3", smollm3],
  ["gptneox", gptNeox],
  ["gpt2", gpt2],
]);

/** What all but GPT-2 and GPT-NeoX call the tensors that are of no layer. */
export const modelTensors: Readonly<Record<string, string>> = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
};
