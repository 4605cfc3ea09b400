/**
 * What a config.json says beyond the fields that are read: each key is harmless, or changes the arithmetic of some model and
 * is refused, or is named in a warning. Which is which follows transformers 5.18.
 */
import { isJsonObject, type JsonFields, shown } from "../formats/json_fields.ts";
import type { ModelConfig } from "./config.ts";
import { architectureOf, families } from "./families/families.ts";

/** Keys about training, generation, files and heads of other tasks: they do not change a forward pass. */
const harmless = new Set(
  `_attn_implementation _attn_implementation_autoset _attn_implementation_internal _commit_hash
  _experts_implementation _experts_implementation_internal _flash_attn_2_enabled _name_or_path
  architectures assistant_confidence_threshold assistant_lookbehind attn_implementation auto_map bad_words_ids
  base_model_tp_plan begin_suppress_tokens chunk_size_feed_forward cross_attention_hidden_size custom_pipelines
  distributed_config diversity_penalty do_sample dtype early_stopping encoder_no_repeat_ngram_size
  encoder_repetition_penalty epsilon_cutoff eta_cutoff experts_implementation exponential_decay_length_penalty
  finetuning_task fusion_config gradient_checkpointing id2label initializer_range is_decoder label2id length_penalty
  max_length max_new_tokens min_length model_max_length model_type n_ctx name_or_path no_repeat_ngram_size
  num_assistant_tokens num_assistant_tokens_schedule num_beam_groups num_beams num_labels num_return_sequences
  output_attentions output_hidden_states output_scores pad_token predict_special_tokens prefix pretraining_tp
  problem_type remove_invalid_values repetition_penalty return_dict return_dict_in_generate summary_activation
  summary_first_dropout summary_proj_to_labels summary_type summary_use_proj suppress_tokens target_lookbehind
  task_specific_params temperature tf_legacy_loss tie_encoder_decoder tie_last_hidden_states tokenizer_class top_k
  top_p torch_dtype torchscript transformers_version typical_p unsloth_fixed unsloth_version use_bfloat16 use_cache`.split(
    /\s+/,
  ),
);

/** Dropouts act in training alone, and a frozen base runs without them; ids of special tokens mean nothing to the base. */
const harmlessEnd = /(?:dropout|_dropout_prob|_pdrop|_token_ids?)$/;

type Test = (value: unknown, config: ModelConfig) => boolean;

const among =
  (...values: readonly unknown[]): Test =>
  (value) =>
    values.includes(value);
const off = among(null, false);
const none = among(null);
const one = among(null, 1);
const few = among(null, 0, 1);
const sameEps: Test = (value, { normEps }) => value === null || value === normEps;
const tanhGelu = ["gelu_pytorch_tanh", "gelu_new", "gelu_fast"];
const activationNames = {
  swiglu: ["silu", "swish"],
  geglu: tanhGelu,
  gelu: tanhGelu,
  geluErf: ["gelu", "gelu_python"],
} as const;
const sameActivation: Test = (value, config) =>
  among(null, ...activationNames[architectureOf(config).activation])(value, config);
const positionNames = { learned: ["absolute", "learned_absolute"], rotary: ["rope", "rotary"] } as const;

/**
 * Keys that change what some model computes, each with what it must be if its family's own reader does not read it: then
 * it changes nothing.
 */
const arithmetic: Readonly<Record<string, Test>> = {
  // Which tokens see each other.
  is_causal: among(true),
  causal: among(null, true),
  use_causal_mask: among(null, true),
  bidirectional: off,
  is_bidirectional: off,
  use_bidirectional_attention: off,
  is_prefix_lm: off,
  is_encoder_decoder: off,
  add_cross_attention: off,
  attention_chunk_size: none,
  sliding_window_pattern: none,
  _sliding_window_pattern: none,
  alibi: off,
  use_alibi: off,
  // Positions.
  partial_rotary_factor: one,
  rotary_pct: one,
  rotary_emb_fraction: one,
  rotary_dim: (value, { headDim }) => value === null || value === headDim,
  rotary_emb_base: none,
  rotary_base: none,
  rotary_emb_interleaved: off,
  rope_interleave: off,
  rope_interleaved: off,
  rope_ratio: one,
  rope_local_base_freq: none,
  rope_pct: one,
  local_rope_theta: none,
  global_rope_theta: none,
  no_rope_layers: (value, { layers }) =>
    value === null ||
    (Array.isArray(value) && (value.length === 0 || (value.length === layers && value.every(Boolean)))),
  no_rope_layer_interval: among(null, 0),
  position_embedding_type: (value, config) =>
    among(null, ...positionNames[architectureOf(config).positions])(value, config),
  llama_4_scaling_beta: none,
  attn_temperature_tuning: among(null, false, 0),
  // Scales and caps.
  query_pre_attn_scalar: (value, { headDim }) => value === null || value === headDim,
  attn_logit_softcapping: none,
  final_logit_softcapping: none,
  logit_softcapping: none,
  attention_multiplier: none,
  attention_scale: none,
  softmax_scale: none,
  embedding_multiplier: one,
  residual_multiplier: one,
  logits_scaling: one,
  logit_scale: one,
  scale_emb: one,
  scale_depth: none,
  dim_model_base: none,
  mup_scale: one,
  // Norms, activations, biases.
  qk_layernorm: off,
  qk_norm: off,
  use_qk_norm: off,
  use_qk_layernorm: off,
  layer_norm_eps: sameEps,
  layer_norm_epsilon: sameEps,
  norm_eps: sameEps,
  norm_epsilon: sameEps,
  rms_norm_eps: sameEps,
  hidden_act: sameActivation,
  hidden_activation: sameActivation,
  activation_function: sameActivation,
  use_qkv_bias: (value, { qkvBias }) => value === null || value === qkvBias,
  qkv_bias: (value, { qkvBias }) => value === null || value === qkvBias,
  use_bias: (value, { qkvBias, mlpBias }) => value === null || (value === qkvBias && value === mlpBias),
  clip_qkv: none,
  // Other layers.
  use_parallel_residual: off,
  parallel_residual: off,
  parallel_attn: off,
  num_experts: few,
  num_local_experts: few,
  n_routed_experts: few,
  moe_num_experts: few,
  num_experts_per_tok: few,
  norm_topk_prob: off,
  kv_lora_rank: none,
  q_lora_rank: none,
  per_layer_config: isEmpty,
  pruned_heads: isEmpty,
  text_config: none,
  // Weights elsewhere or in another form.
  transformers_weights: among(null, "model.safetensors"),
  quantization: none,
  compression_config: none,
};

/** Classes of the language models of all families. */
const languageModels = new Set(families.flatMap(({ classes }) => classes));

/**
 * Adds to the problems of `fields` the keys that are not read and would change what is computed. Keys of an unknown meaning,
 * and of a known one that transformers passes over in this family, go to `onWarning`, as do `unused` settings.
 */
export function checkKeys(
  fields: JsonFields,
  json: Readonly<Record<string, unknown>>,
  config: ModelConfig,
  unused: readonly string[],
  onWarning: (message: string) => void,
): void {
  const passedOver = [...unused];
  for (const [key, value] of Object.entries(json)) {
    if (fields.asked.has(key) || harmless.has(key) || harmlessEnd.test(key)) continue;
    const changesNothing = Object.hasOwn(arithmetic, key) ? arithmetic[key] : undefined;
    if (changesNothing === undefined) {
      if (value !== null && !agrees(key, value, config)) passedOver.push(key);
    } else if (!changesNothing(value, config)) {
      fields.problem(`${key} is ${shown(value)}, supported is a ${config.modelType} model without it`);
    }
  }
  if (passedOver.length > 0) {
    onWarning(`config.json has keys that a ${config.modelType} model has no use for here: ${listed(passedOver)}`);
  }
  const code = json["auto_map"];
  if (isJsonObject(code) && Object.keys(code).length > 0) {
    onWarning(
      `config.json names code of its own for ${listed(Object.keys(code))} (auto_map): it is not run, what is computed is a plain ${config.modelType} model`,
    );
  }
  const classes = json["architectures"];
  const others = Array.isArray(classes) ? classes.filter((name) => !languageModels.has(String(name))) : [];
  if (others.length > 0) {
    onWarning(
      `config.json says that its weights are those of ${listed(others.map(String))}: they are used as a ${config.modelType} language model`,
    );
  }
}

/** Settings of other families that say what this one does anyway. */
function agrees(key: string, value: unknown, config: ModelConfig): boolean {
  const { contextLength, slidingWindow, headDim, kvHeads, heads, intermediateSize, qkvBias, outputBias, mlpBias } =
    config;
  const same: Readonly<Record<string, boolean>> = {
    sliding_window: typeof value === "number" && value >= contextLength && slidingWindow === 0,
    use_sliding_window: value === slidingWindow > 0,
    max_window_layers: slidingWindow === 0,
    layer_types: Array.isArray(value) && value.every((type) => type === "full_attention"),
    attention_bias: value === qkvBias && value === outputBias,
    mlp_bias: value === mlpBias,
    head_dim: value === headDim,
    num_key_value_heads: value === kvHeads && kvHeads === heads,
    intermediate_size: value === intermediateSize,
    original_max_position_embeddings: value === contextLength,
  };
  return Object.hasOwn(same, key) && (same[key] ?? false);
}

function isEmpty(value: unknown): boolean {
  return value === null || (isJsonObject(value) && Object.keys(value).length === 0);
}

/** Names for one line of a message. */
function listed(names: readonly string[]): string {
  const most = 20;
  const text = names.slice(0, most).map((name) => name.slice(0, 100));
  return names.length > most ? `${text.join(", ")} and ${names.length - most} more` : text.join(", ");
}
