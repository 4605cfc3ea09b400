/**
 * Odd configurations of all families: each key that changes the numbers of some model, in both spellings, with values
 * that mean nothing, something and nonsense, in a checkpoint of its own.
 */

/** Whose tensors a checkpoint has. */
export type Family =
  | "llama"
  | "mistral"
  | "ministral3"
  | "qwen2"
  | "gemma"
  | "gpt2"
  | "qwen3"
  | "qwen3_moe"
  | "qwen3_5_text"
  | "mixtral"
  | "phi3"
  | "smollm3"
  | "stablelm"
  | "granite"
  | "olmo2"
  | "olmo3"
  | "gemma2"
  | "gemma3_text"
  | "gpt_neox";

export interface OddConfig {
  readonly name: string;
  readonly family: Family;
  /** The key that a refusal must name. */
  readonly key: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** The head in the file, if it is not the one that the config asks for. */
  readonly head?: "own" | "same" | "none" | "only";
  /** Biases in the file although the config asks for none. */
  readonly biases?: boolean;
  /** transformers 5.18 fails on it and earlier versions did not. */
  readonly onlyOurs?: boolean;
}

const LAYERS = 3;

const shared = {
  vocab_size: 61,
  hidden_size: 24,
  intermediate_size: 40,
  num_hidden_layers: LAYERS,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 32,
  bos_token_id: 1,
  eos_token_id: 2,
  torch_dtype: "float32",
};

/** What each family's config holds before it becomes odd. Windows are short: they must matter in a row of 24 tokens. */
const plainConfigs: Readonly<Record<Family, Readonly<Record<string, unknown>>>> = {
  llama: { model_type: "llama", ...shared },
  mistral: { model_type: "mistral", ...shared, head_dim: 6, sliding_window: 5 },
  ministral3: {
    model_type: "ministral3",
    ...shared,
    head_dim: 6,
    sliding_window: 5,
    rope_parameters: {
      rope_type: "yarn",
      rope_theta: 500,
      factor: 4,
      original_max_position_embeddings: 8,
      llama_4_scaling_beta: 0.3,
    },
  },
  qwen2: { model_type: "qwen2", ...shared, use_sliding_window: true, sliding_window: 5, max_window_layers: 1 },
  gemma: { model_type: "gemma", ...shared, head_dim: 6 },
  qwen3: {
    model_type: "qwen3",
    ...shared,
    head_dim: 6,
    use_sliding_window: true,
    sliding_window: 5,
    max_window_layers: 1,
  },
  qwen3_moe: {
    model_type: "qwen3_moe",
    ...shared,
    num_experts: 4,
    num_experts_per_tok: 2,
    moe_intermediate_size: 12,
    mlp_only_layers: [1],
  },
  qwen3_5_text: {
    model_type: "qwen3_5_text",
    ...shared,
    head_dim: 10,
    partial_rotary_factor: 0.4,
    layer_types: ["linear_attention", "full_attention", "linear_attention"],
    linear_num_key_heads: 2,
    linear_num_value_heads: 4,
    linear_key_head_dim: 16,
    linear_value_head_dim: 3,
    linear_conv_kernel_dim: 3,
  },
  mixtral: {
    model_type: "mixtral",
    ...shared,
    head_dim: 6,
    num_local_experts: 3,
    num_experts_per_tok: 2,
    intermediate_size: 12,
  },
  phi3: { model_type: "phi3", ...shared, pad_token_id: 0, sliding_window: 5 },
  smollm3: { model_type: "smollm3", ...shared, pad_token_id: 0, no_rope_layer_interval: 2 },
  stablelm: { model_type: "stablelm", ...shared, hidden_size: 32, partial_rotary_factor: 0.5 },
  granite: { model_type: "granite", ...shared, attention_multiplier: 0.3, residual_multiplier: 0.5 },
  olmo2: { model_type: "olmo2", ...shared },
  olmo3: { model_type: "olmo3", ...shared, sliding_window: 5 },
  gemma2: { model_type: "gemma2", ...shared, head_dim: 6, sliding_window: 5, attn_logit_softcapping: 2.5 },
  gemma3_text: { model_type: "gemma3_text", ...shared, head_dim: 6, sliding_window: 5, sliding_window_pattern: 2 },
  gpt_neox: { model_type: "gpt_neox", ...shared, hidden_size: 32 },
  gpt2: {
    model_type: "gpt2",
    vocab_size: 61,
    n_embd: 24,
    n_inner: 40,
    n_layer: LAYERS,
    n_head: 4,
    n_positions: 32,
    bos_token_id: 1,
    eos_token_id: 2,
    torch_dtype: "float32",
  },
};

const mixed = ["full_attention", "sliding_attention", "full_attention"];
const full = mixed.map(() => "full_attention");

/** Values for a key, in every family. */
const oddValues: Readonly<Record<string, readonly unknown[]>> = {
  attention_bias: [true, false],
  mlp_bias: [true, false],
  use_qkv_bias: [true, false],
  use_bias: [true, false],
  head_dim: [null, 6, 10],
  partial_rotary_factor: [0.5, 1],
  rotary_pct: [0.25],
  rope_theta: [500, 1e6, null],
  rope_local_base_freq: [100],
  original_max_position_embeddings: [8],
  sliding_window: [3, 64, null],
  use_sliding_window: [false],
  max_window_layers: [2],
  layer_types: [mixed, full, null],
  sliding_window_pattern: [2],
  no_rope_layers: [
    [1, 0, 1],
    [1, 1, 1],
  ],
  no_rope_layer_interval: [2],
  query_pre_attn_scalar: [3, 6],
  attn_logit_softcapping: [1.5, null],
  final_logit_softcapping: [1.5],
  attention_multiplier: [2],
  embedding_multiplier: [3, 1],
  residual_multiplier: [0.3],
  logits_scaling: [8],
  hidden_act: ["swish", "gelu", "relu", "gelu_new"],
  hidden_activation: ["gelu_pytorch_tanh", "relu", null],
  rms_norm_eps: [0.5],
  layer_norm_eps: [0.5],
  norm_topk_prob: [true],
  tie_word_embeddings: [true, false],
  use_parallel_residual: [true],
  qk_layernorm: [true],
  num_experts_per_tok: [1, 3],
  decoder_sparse_step: [1],
  router_aux_loss_coef: [0.5],
  clip_qkv: [0.1],
  is_causal: [false, true, null],
  use_bidirectional_attention: [true, false],
  attention_chunk_size: [4],
  per_layer_config: [{ 1: { hidden_act: "relu" } }],
  // Keys about other things.
  pretraining_tp: [4],
  attention_dropout: [0.9],
  initializer_range: [0.5],
  use_cache: [false],
  attn_implementation: ["eager"],
  _attn_implementation: ["eager"],
  pad_token_id: [-1, 0],
  eos_token_id: [-1, [2, 3]],
  unheard_of: [7],
};

/** Rotary settings, in both spellings. */
const ropes: readonly Readonly<Record<string, unknown>>[] = [
  { rope_type: "default", factor: 4 },
  { rope_type: "linear", factor: 2 },
  { rope_type: "linear", factor: 2, original_max_position_embeddings: 8 },
  { rope_type: "linear", factor: 2, attention_factor: 2 },
  { rope_type: "dynamic", factor: 2 },
  { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 16 },
  { rope_type: "yarn", factor: 2, original_max_position_embeddings: 8 },
  { rope_type: "yarn", factor: 2, original_max_position_embeddings: 8, mscale: 0.7, mscale_all_dim: 1.2 },
  { rope_type: "yarn", factor: 2, original_max_position_embeddings: 8, attention_factor: 1.5, truncate: false },
  { rope_type: "yarn", factor: 2, original_max_position_embeddings: 8, beta_fast: 4, beta_slow: 2 },
  { rope_type: "linear", factor: 2, partial_rotary_factor: 0.5 },
  { rope_type: "longrope", factor: 2, short_factor: [1, 1, 1], long_factor: [2, 2, 2] },
  { rope_type: "mrope", mrope_section: [1, 1, 1] },
  { rope_type: "default", type: "linear", factor: 2 },
  { full_attention: { rope_type: "default" }, sliding_attention: { rope_type: "linear", factor: 2 } },
];

const families = Object.keys(plainConfigs) as Family[];

/** All of them, in a fixed order. */
export function oddConfigs(): OddConfig[] {
  const odd: OddConfig[] = [];
  for (const family of families) {
    const add = (key: string, changes: Readonly<Record<string, unknown>>, more: Partial<OddConfig> = {}) => {
      const config = { ...plainConfigs[family], ...changes };
      const head = more.head ? `, head ${more.head}` : "";
      const name = `${family} ${JSON.stringify(changes)}${head}${more.biases ? ", biases stored" : ""}`;
      odd.push({ name, family, key, config, ...more });
    };
    add("model_type", {});
    for (const [key, values] of Object.entries(oddValues))
      for (const value of values) {
        const isHeadDim = key === "head_dim" && value === null; // fails in the rotation of qwen2 and in ministral
        add(key, { [key]: value }, isHeadDim && family === "qwen2" ? { onlyOurs: true } : {});
      }
    for (const rope of ropes) {
      const { rope_type, ...rest } = rope;
      add("rope", { rope_parameters: { ...rope, rope_theta: 500 } });
      add("rope", { rope_theta: 500, rope_scaling: rope_type === undefined ? rope : { type: rope_type, ...rest } });
      add("rope", { rope_theta: 500, rope_scaling: rope, rope_parameters: { rope_type: "default", rope_theta: 7 } });
    }
    add("rope", { rope_scaling: {}, rope_parameters: { rope_type: "linear", factor: 3, rope_theta: 700 } });
    add("rope", { rope_parameters: { rope_type: "default", rope_theta: null } });
    for (const tie of [true, false, undefined]) {
      const changes = tie === undefined ? {} : { tie_word_embeddings: tie };
      const name = family === "gpt_neox" ? "embed_out" : "lm_head";
      for (const head of ["own", "same", "none", "only"] as const) add(name, changes, { head });
    }
    add("layer_types", { layer_types: mixed, sliding_window: null });
    add("layer_types", { layer_types: mixed, sliding_window: 3 });
    add("layer_types", { layer_types: ["sliding_attention", "full_attention", "sliding_attention"] });
    add("layer_types", { layer_types: ["attention", "attention", "attention"] });
    add("layer_types", { layer_types: ["chunked_attention", "full_attention", "full_attention"] });
    add("layer_types", { layer_types: mixed.slice(1) });
    add("tensors", {}, { biases: true });
    add("num_key_value_heads", { num_key_value_heads: null }, { onlyOurs: family === "mistral" });
    add("num_key_value_heads", { num_key_value_heads: 1 });
  }
  for (const [key, value] of Object.entries({
    scale_attn_weights: false,
    scale_attn_by_inverse_layer_idx: true,
    reorder_and_upcast_attn: true,
    add_cross_attention: true,
    activation_function: "gelu",
    layer_norm_epsilon: 0.5,
    n_inner: null,
    hidden_size: 32,
    max_position_embeddings: 32,
    num_attention_heads: 2,
    n_ctx: 5,
    summary_type: "first",
  })) {
    const config = { ...plainConfigs.gpt2, [key]: value };
    odd.push({ name: `gpt2 ${JSON.stringify({ [key]: value })}`, family: "gpt2", key, config });
  }
  return odd;
}
