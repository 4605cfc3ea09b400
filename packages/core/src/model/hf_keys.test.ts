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

test("both keys of rotary settings are read, also if one of them wins [T-A2]", () => {
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
