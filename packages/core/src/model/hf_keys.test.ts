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
const names = Object.keys(families) as (keyof typeof families)[];

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

const arithmetic = {
  is_causal: false,
  use_bidirectional_attention: true,
  attention_chunk_size: 8,
  partial_rotary_factor: 0.5,
  rotary_pct: 0.25,
  rope_local_base_freq: 1e4,
  sliding_window_pattern: 2,
  no_rope_layers: [1, 0, 1],
  no_rope_layer_interval: 4,
  query_pre_attn_scalar: 7,
  attn_logit_softcapping: 50,
  final_logit_softcapping: 30,
  attention_multiplier: 0.5,
  embedding_multiplier: 12,
  residual_multiplier: 0.22,
  logits_scaling: 8,
  hidden_activation: "relu",
  layer_norm_eps: 0.5,
  norm_topk_prob: true,
  use_parallel_residual: true,
  qk_layernorm: true,
  clip_qkv: 8,
  per_layer_config: { 0: { hidden_act: "relu" } },
  num_local_experts: 8,
  transformers_weights: "other.safetensors",
};

test.each(names)("%s refuses each key that would change the arithmetic, by its name and value [T-A2]", (family) => {
  for (const [key, value] of Object.entries(arithmetic)) {
    const { problems } = said(family, { [key]: value });
    expect(problems, key).toHaveLength(1);
    expect(problems[0], key).toMatch(new RegExp(`^${key} is `));
  }
});

test.each(names)("%s takes the values of these keys that change nothing, silently [T-A2]", (family) => {
  const noOps = {
    is_causal: true,
    use_bidirectional_attention: false,
    attention_chunk_size: null,
    partial_rotary_factor: 1,
    no_rope_layers: [1, 1, 1],
    query_pre_attn_scalar: 6,
    attn_logit_softcapping: null,
    embedding_multiplier: 1,
    residual_multiplier: 1,
    use_parallel_residual: false,
    per_layer_config: {},
    num_local_experts: 1,
    layer_types: family === "gpt2" ? null : ["full_attention", "full_attention", "full_attention"],
  };
  expect(said(family, noOps)).toEqual({ problems: [], warnings: [] });
});

test.each(names)("%s is silent about training, generation and files [T-A2]", (family) => {
  const harmless = {
    _name_or_path: "x",
    architectures: [family === "gpt2" ? "GPT2LMHeadModel" : `${family[0]?.toUpperCase()}${family.slice(1)}ForCausalLM`],
    attention_dropout: 0.9,
    resid_pdrop: 0.1,
    initializer_range: 9,
    use_cache: false,
    pretraining_tp: 4,
    attn_implementation: "eager",
    _attn_implementation: "sdpa",
    pad_token_id: -1,
    unk_token_id: 7,
    torch_dtype: "float32",
    transformers_version: "4.0.0",
    do_sample: true,
    top_k: 3,
    id2label: { 0: "a" },
    use_sliding_window: family === "mistral",
  };
  expect(said(family, harmless)).toEqual({ problems: [], warnings: [] });
});

test.each([
  ["llama", { sliding_window: 8, layer_types: ["sliding_attention", "full_attention", "full_attention"] }],
  ["mistral", { attention_bias: true, mlp_bias: true, use_sliding_window: false }],
  ["qwen2", { attention_bias: true }],
  ["gemma", { sliding_window: 8 }],
  ["gpt2", { head_dim: 8, rope_theta: 5 }],
  ["llama", { unheard_of: 0, "strange\u001b[31m": false }],
] as const)("%s names the keys of %j that it has no use for, on one line [T-A2]", (family, keys) => {
  const { problems, warnings } = said(family, keys);
  expect(problems).toEqual([]);
  expect(warnings).toEqual([
    `config.json has keys that a ${family} model has no use for here: ${Object.keys(keys).join(", ")}`,
  ]);
});

test("settings that a kind of rotary scaling has no use for are named with where they stand [T-A2]", () => {
  const rope_scaling = { type: "linear", factor: 2, attention_factor: 3, original_max_position_embeddings: 8 };
  expect(said("llama", { rope_scaling }).warnings).toEqual([
    "config.json has keys that a llama model has no use for here: rope_scaling.attention_factor, rope_scaling.original_max_position_embeddings",
  ]);
  expect(said("llama", { rope_scaling: { rope_type: "linear", type: "yarn", factor: 2 } }).problems).toEqual([
    'rope_scaling.rope_type is "linear", type is "yarn", needed is one of them',
  ]);
  const yarn = { type: "yarn", factor: 2, original_max_position_embeddings: 8, mscale: 1, truncate: true };
  expect(said("mistral", { rope_scaling: { ...yarn, rope_type: "yarn" } })).toEqual({ problems: [], warnings: [] });
});

test("both keys of rotary settings are read, also where one of them wins [T-A2]", () => {
  const both = { rope_scaling: { type: "linear", factor: 2 }, rope_parameters: { rope_type: "linear", factor: 3 } };
  expect(said("llama", both)).toEqual({ problems: [], warnings: [] });
});

test("many keys of no meaning stay one line", () => {
  const keys = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`k${i}`, 1]));
  expect(said("llama", keys).warnings).toEqual([expect.stringMatching(/k19 and 10 more$/)]);
});

test("classes of a family's language model, with a head and bare, are known [T-A2]", () => {
  const classes = {
    llama: ["LlamaForCausalLM", "LlamaModel"],
    mistral: ["MistralForCausalLM", "MistralModel", "MinistralForCausalLM", "MinistralModel"],
    qwen2: ["Qwen2ForCausalLM", "Qwen2Model"],
    gemma: ["GemmaForCausalLM", "GemmaModel"],
    gpt2: ["GPT2LMHeadModel", "GPT2Model"],
  };
  for (const family of names)
    for (const name of classes[family])
      expect(said(family, { architectures: [name] }), name).toEqual({ problems: [], warnings: [] });
  expect(said("llama", { architectures: [""] }).warnings).toHaveLength(1);
});

test("code of the repository's own and classes of other tasks are named [T-A2]", () => {
  const auto_map = { AutoConfig: "configuration_x.XConfig", AutoModelForCausalLM: "modeling_x.XForCausalLM" };
  const { problems, warnings } = said("qwen2", { auto_map, architectures: ["Qwen2ForSequenceClassification"] });
  expect(problems).toEqual([]);
  expect(warnings).toEqual([
    expect.stringContaining("code of its own for AutoConfig, AutoModelForCausalLM (auto_map): it is not run"),
    expect.stringContaining("those of Qwen2ForSequenceClassification"),
  ]);
});

test("mistral's layer_types say which layers slide, and need a window to slide with [T-A2]", () => {
  const layer_types = ["full_attention", "sliding_attention", "full_attention"];
  const parse = (keys: object) => parseModelConfig({ ...families.mistral, ...keys }, "config.json");
  expect(parse({ layer_types })).toMatchObject({ slidingWindow: 8, slidingLayers: [1] });
  expect(parse({ layer_types: null })).toMatchObject({ slidingWindow: 8, slidingLayers: undefined });
  expect(parse({ layer_types: Array(3).fill("full_attention") })).toMatchObject({ slidingWindow: 0 });
  expect(parse({ layer_types: Array(3).fill("full_attention"), sliding_window: null }).slidingWindow).toBe(0);
  expect(said("mistral", { layer_types, sliding_window: null }).problems).toEqual([
    "layer_types has sliding_attention, but sliding_window gives no window",
  ]);
  expect(
    said("mistral", { layer_types: ["chunked_attention", "full_attention", "full_attention"] }).problems[0],
  ).toContain("needed is a list of 3 names");
});

test("a null that transformers computes with or refuses is refused by name, one that means none is not [T-A2]", () => {
  for (const key of ["rms_norm_eps", "rope_theta", "hidden_act", "tie_word_embeddings", "max_position_embeddings"]) {
    expect(said("llama", { [key]: null }).problems, key).toEqual([
      expect.stringMatching(new RegExp(`^${key} is null`)),
    ]);
  }
  for (const key of ["head_dim", "num_key_value_heads"]) {
    expect(said("llama", { [key]: null }), key).toEqual({ problems: [], warnings: [] });
    expect(said("gemma", { [key]: null }).problems, key).toEqual([
      expect.stringMatching(new RegExp(`^${key} is null`)),
    ]);
  }
});

test("gpt2 goes by the other families' names as well, not by two that differ [T-A2]", () => {
  const {
    n_embd: hidden_size,
    n_layer: num_hidden_layers,
    n_head: num_attention_heads,
    n_positions,
    ...rest
  } = families.gpt2;
  const others = { hidden_size, num_hidden_layers, num_attention_heads, max_position_embeddings: n_positions };
  expect(parseModelConfig({ ...rest, ...others }, "x")).toEqual(parseModelConfig(families.gpt2, "x"));
  expect(said("gpt2", others)).toEqual({ problems: [], warnings: [] });
  expect(said("gpt2", { num_attention_heads: 2 }).problems).toEqual([
    "n_head is 4, num_attention_heads is 2, needed is one of them",
  ]);
});

test("swish is silu, and ids of -1 mean none [T-C6]", () => {
  expect(said("llama", { hidden_act: "swish" })).toEqual({ problems: [], warnings: [] });
  const { bosTokenId, eosTokenIds } = parseModelConfig(
    { ...families.llama, bos_token_id: -1, eos_token_id: [-1, 0, 5], pad_token_id: -1 },
    "config.json",
  );
  expect([bosTokenId, eosTokenIds]).toEqual([undefined, [0, 5]]);
});

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

test("a value of an arithmetic key is silent where it changes nothing, and refused where it does [T-A2]", () => {
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

test("settings of other families are silent where they say what this one does anyway [T-A2]", () => {
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
