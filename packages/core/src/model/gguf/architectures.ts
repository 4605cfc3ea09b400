/**
 * Architectures of GGUF files that are read, by `general.architecture`: what their metadata says in the words of a config.json, and
 * what their tensors are called in transformers. Both are the reverse of llama.cpp's converter (its folder `conversion/`, of 2026);
 * what llama.cpp knows of a model without a key, its loaders say (`src/models/NAME.cpp`).
 */
import type { GgufArchitecture } from "./architecture.ts";
import { gemma, gemma2, gemma3 } from "./gemmas.ts";
import { gpt2, gptNeox } from "./gpts.ts";
import type { GgufKeys } from "./keys.ts";
import { ropeFields } from "./rope.ts";
import { headSizes, layer, layerEps, outputNorms, rmsEps, wholeHeads } from "./shared_fields.ts";

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
