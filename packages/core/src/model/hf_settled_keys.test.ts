/** Keys of a config.json by their values: silent if they change nothing, refused if they would. */
import { expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { parseModelConfig } from "./hf_config.ts";

const sizes = {
  vocab_size: 61,
  hidden_size: 24,
  intermediate_size: 40,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 4,
  max_position_embeddings: 64,
};
const families = {
  llama: { model_type: "llama", ...sizes },
  mistral: { model_type: "mistral", ...sizes, sliding_window: 8 },
  qwen2: { model_type: "qwen2", ...sizes },
  gemma: { model_type: "gemma", ...sizes, head_dim: 6 },
  gpt2: { model_type: "gpt2", vocab_size: 61, n_embd: 24, n_layer: 3, n_head: 4, n_positions: 64 },
};

/** Returns what is reported about these keys in a config of this family: refusals, or else warnings. */
function said(family: keyof typeof families, keys: object): { problems: readonly string[]; warnings: string[] } {
  const warnings: string[] = [];
  try {
    parseModelConfig({ ...families[family], ...keys }, "config.json", (warning) => warnings.push(warning));
  } catch (error) {
    if (error instanceof InputError) return { problems: error.problems, warnings };
    throw error;
  }
  return { problems: [], warnings };
}

/** Keys by what their readers take for nothing: `fine` values are silent, `refused` ones are named. Heads are 6 wide, layers 3. */
const settled: readonly { keys: string; fine: readonly unknown[]; refused: readonly unknown[] }[] = [
  {
    keys: `bidirectional is_bidirectional use_bidirectional_attention is_prefix_lm is_encoder_decoder add_cross_attention
      alibi use_alibi rotary_emb_interleaved rope_interleave rope_interleaved qk_layernorm qk_norm use_qk_norm
      use_qk_layernorm use_parallel_residual parallel_residual parallel_attn norm_topk_prob`,
    fine: [null, false],
    refused: [true, 0, 1],
  },
  { keys: "is_causal", fine: [true], refused: [null, false] },
  { keys: "causal use_causal_mask", fine: [null, true], refused: [false] },
  {
    keys: `attention_chunk_size sliding_window_pattern _sliding_window_pattern rotary_emb_base rotary_base
      rope_local_base_freq local_rope_theta global_rope_theta llama_4_scaling_beta attn_logit_softcapping
      final_logit_softcapping logit_softcapping attention_multiplier attention_scale softmax_scale scale_depth
      dim_model_base clip_qkv kv_lora_rank q_lora_rank text_config quantization compression_config`,
    fine: [null],
    refused: [false, 0, 1, "a"],
  },
  {
    keys: `partial_rotary_factor rotary_pct rotary_emb_fraction rope_ratio rope_pct embedding_multiplier
      residual_multiplier logits_scaling logit_scale scale_emb mup_scale`,
    fine: [null, 1],
    refused: [0, 2, 0.5, true],
  },
  {
    keys: "num_experts num_local_experts n_routed_experts moe_num_experts num_experts_per_tok",
    fine: [null, 0, 1],
    refused: [2, true],
  },
  { keys: "rotary_dim query_pre_attn_scalar", fine: [null, 6], refused: [0, 3, 12, "6"] },
  {
    keys: "no_rope_layers",
    fine: [null, [], [1, 1, 1], [true, true, true]],
    refused: [[1, 1], [1, 0, 1], [0], 3, "111"],
  },
  { keys: "no_rope_layer_interval", fine: [null, 0], refused: [1, 4] },
  { keys: "attn_temperature_tuning", fine: [null, false, 0], refused: [true, 1] },
  { keys: "per_layer_config pruned_heads", fine: [null, {}], refused: [{ 0: [1] }, [], 0, "a"] },
  { keys: "transformers_weights", fine: [null, "model.safetensors"], refused: ["other.safetensors"] },
  { keys: "position_embedding_type", fine: [null, "rope", "rotary"], refused: ["absolute", "alibi"] },
  { keys: "layer_norm_eps layer_norm_epsilon norm_eps norm_epsilon", fine: [null, 1e-6], refused: [1e-5, 0] },
  { keys: "hidden_activation activation_function", fine: [null, "silu", "swish"], refused: ["gelu_new", "relu"] },
  { keys: "use_qkv_bias qkv_bias use_bias", fine: [null, false], refused: [true, 0] },
];

test("a value of an arithmetic key is silent if it changes nothing, and refused if it does [T-A2]", () => {
  for (const { keys, fine, refused } of settled)
    for (const key of keys.split(/\s+/)) {
      for (const value of fine)
        expect(said("llama", { [key]: value }), `${key} ${JSON.stringify(value)}`).toEqual({
          problems: [],
          warnings: [],
        });
      for (const value of refused)
        expect(said("llama", { [key]: value }).problems, `${key} ${JSON.stringify(value)}`).toEqual([
          expect.stringMatching(new RegExp(`^${key} is `)),
        ]);
    }
});

test("what changes nothing follows the model: its biases, activation, positions and epsilon [T-A2]", () => {
  const isRefused = (family: keyof typeof families, keys: object) => said(family, keys).problems.length > 0;
  const biased = { attention_bias: true, mlp_bias: true };
  expect(isRefused("llama", { ...biased, use_bias: true, use_qkv_bias: true, qkv_bias: true })).toBe(false);
  expect(isRefused("llama", { attention_bias: true, use_bias: true })).toBe(true);
  expect(isRefused("llama", { mlp_bias: true, use_bias: true })).toBe(true);
  expect(isRefused("llama", { ...biased, qkv_bias: false })).toBe(true);
  expect(isRefused("qwen2", { use_qkv_bias: true })).toBe(false);
  for (const position of ["absolute", "learned_absolute"])
    expect(isRefused("gpt2", { position_embedding_type: position })).toBe(false);
  expect(isRefused("gpt2", { position_embedding_type: "rope" })).toBe(true);
  for (const activation of ["gelu_pytorch_tanh", "gelu_new", "gelu_fast"])
    expect(isRefused("gpt2", { hidden_act: activation })).toBe(false);
  for (const activation of ["gelu", "silu"]) expect(isRefused("gpt2", { hidden_act: activation })).toBe(true);
  expect(isRefused("gpt2", { layer_norm_epsilon: 0.25, norm_eps: 0.25 })).toBe(false);
  expect(isRefused("gpt2", { layer_norm_epsilon: 0.25, rms_norm_eps: 1e-5 })).toBe(true);
});

test("settings of other families are silent if they say what this one does anyway [T-A2]", () => {
  const warned = (family: keyof typeof families, keys: object) => said(family, keys).warnings.length > 0;
  const agreeing: [keyof typeof families, object][] = [
    ["llama", { sliding_window: 64 }],
    ["llama", { use_sliding_window: false, max_window_layers: 1 }],
    ["gemma", { layer_types: ["full_attention", "full_attention", "full_attention"] }],
    ["mistral", { attention_bias: false, mlp_bias: false, use_sliding_window: true }],
    ["gpt2", { attention_bias: true, mlp_bias: true, head_dim: 6, num_key_value_heads: 4, intermediate_size: 96 }],
    ["gpt2", { sliding_window: 64, original_max_position_embeddings: 64 }],
    ["llama", { original_max_position_embeddings: 64 }],
  ];
  for (const [family, keys] of agreeing)
    expect(said(family, keys), JSON.stringify(keys)).toEqual({ problems: [], warnings: [] });
  const others: [keyof typeof families, object][] = [
    ["llama", { sliding_window: 63 }],
    ["llama", { sliding_window: "64" }],
    ["llama", { use_sliding_window: true }],
    ["mistral", { max_window_layers: 1 }],
    ["gemma", { layer_types: ["full_attention", "sliding_attention", "full_attention"] }],
    ["mistral", { attention_bias: true }],
    ["mistral", { mlp_bias: true }],
    ["gpt2", { attention_bias: false }],
    ["gpt2", { mlp_bias: false }],
    ["gpt2", { head_dim: 5 }],
    ["gpt2", { num_key_value_heads: 2 }],
    ["gpt2", { intermediate_size: 95 }],
    ["llama", { original_max_position_embeddings: 32 }],
  ];
  for (const [family, keys] of others) expect(warned(family, keys), JSON.stringify(keys)).toBe(true);
  expect(warned("llama", { unheard_of: null })).toBe(false);
});

test("names of foreign keys are listed up to twenty, and each up to a hundred characters", () => {
  const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 1]));
  expect(said("llama", keys(20)).warnings[0]).toMatch(/k18, k19$/);
  expect(said("llama", keys(21)).warnings[0]).toMatch(/k19 and 1 more$/);
  expect(said("llama", { ["x".repeat(101)]: 1 }).warnings[0]).toMatch(/: x{100}$/);
  expect(said("llama", { auto_map: {} }).warnings).toEqual([]);
});
