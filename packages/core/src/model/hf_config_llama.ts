/** Configs that are written like Llama's: Llama, Mistral, Qwen2, Gemma. */
import { narrow, widen } from "../formats/dtype.ts";
import { type JsonFields, shown } from "../formats/json_fields.ts";
import type { ModelType } from "./architecture.ts";
import type { ModelConfig } from "./config.ts";
import { checkName, MAX_LAYERS, tokenIds } from "./hf_fields.ts";
import { parseRope } from "./hf_rope.ts";

type LlamaType = Exclude<ModelType, "gpt2">;

/** What transformers fills in where `config.json` says nothing; the five main sizes must be there. */
const llama = {
  kvHeads: undefined as number | undefined,
  headDim: undefined as number | undefined,
  contextLength: 2048,
  activation: "silu",
  /** Names of the same function; `gelu` is how the first Gemma configs call the tanh approximation. */
  activations: ["silu", "swish"] as readonly string[],
  tiedEmbeddings: false,
  bosTokenId: [1] as readonly number[],
  eosTokenId: [2] as readonly number[],
};
const defaults: Readonly<Record<LlamaType, typeof llama>> = {
  llama,
  mistral: { ...llama, kvHeads: 8, contextLength: 131_072 },
  qwen2: { ...llama, kvHeads: 32, contextLength: 32_768, bosTokenId: [], eosTokenId: [] },
  gemma: {
    ...llama,
    kvHeads: 16,
    headDim: 256,
    contextLength: 8192,
    activation: "gelu_pytorch_tanh",
    activations: ["gelu_pytorch_tanh", "gelu_new", "gelu"],
    tiedEmbeddings: true,
    bosTokenId: [2],
    eosTokenId: [1],
  },
};

/**
 * Adds to `problems`, which are also those of `fields`, what is wrong; the result is then not to be used. Rotary settings
 * without a meaning go to `unused`.
 */
export function parseLlama(
  fields: JsonFields,
  modelType: LlamaType,
  problems: string[],
  unused: string[],
): ModelConfig {
  const fallback = defaults[modelType];
  const hiddenSize = fields.integer("hidden_size", { min: 1 });
  const heads = fields.integer("num_attention_heads", { min: 1 });
  const layers = fields.integer("num_hidden_layers", { min: 1, max: MAX_LAYERS });
  // An absent key takes the class's default, a null means one key/value head per query head.
  const kvDefault = fields.has("num_key_value_heads") ? heads : (fallback.kvHeads ?? heads);
  const kvHeads = fields.integer("num_key_value_heads", { min: 1, fallback: kvDefault });
  if (heads % kvHeads > 0) {
    fields.problem(`num_key_value_heads is ${kvHeads}, needed is a divisor of the ${heads} attention heads`);
  }
  if (fields.raw("head_dim") === undefined && fallback.headDim === undefined && hiddenSize % heads > 0) {
    fields.problem(`hidden_size is ${hiddenSize}, needed is a multiple of the ${heads} attention heads`);
  }
  const headDim = fields.integer("head_dim", { min: 2, fallback: fallback.headDim ?? Math.floor(hiddenSize / heads) });
  if (headDim % 2 > 0) fields.problem(`head_dim is ${headDim}, rotary embedding needs an even number`);
  const contextLength = fields.integer("max_position_embeddings", { min: 1, fallback: fallback.contextLength });
  checkName(fields, "hidden_act", fallback.activation, fallback.activations);
  if (modelType === "gemma" && fields.boolean("use_bidirectional_attention", false)) {
    fields.problem("use_bidirectional_attention is true, supported is causal attention");
  }
  // Mistral and Qwen2 have fixed biases; transformers ignores these keys there.
  const attentionBias = (modelType === "llama" || modelType === "gemma") && fields.boolean("attention_bias", false);
  return {
    modelType,
    vocabSize: fields.integer("vocab_size", { min: 1 }),
    hiddenSize,
    intermediateSize: fields.integer("intermediate_size", { min: 1 }),
    layers,
    heads,
    kvHeads,
    headDim,
    contextLength,
    normEps: fields.number("rms_norm_eps", { above: 0, fallback: 1e-6 }),
    ...parseRope(fields, contextLength, problems, unused),
    ...parseWindow(fields, modelType, layers),
    embedScale: modelType === "gemma" ? gemmaScale(fields, hiddenSize) : 1,
    tiedEmbeddings: fields.boolean("tie_word_embeddings", fallback.tiedEmbeddings),
    qkvBias: modelType === "qwen2" || attentionBias,
    outputBias: attentionBias,
    mlpBias: modelType === "llama" && fields.boolean("mlp_bias", false),
    bosTokenId: tokenIds(fields, "bos_token_id", fallback.bosTokenId)[0],
    eosTokenIds: tokenIds(fields, "eos_token_id", fallback.eosTokenId),
  };
}

/** Mistral slides in every layer unless `layer_types` says which, Qwen2 where it is told to; the others never do. */
function parseWindow(
  fields: JsonFields,
  modelType: LlamaType,
  layers: number,
): Pick<ModelConfig, "slidingWindow" | "slidingLayers"> {
  const none = { slidingWindow: 0, slidingLayers: undefined };
  if (modelType !== "mistral" && modelType !== "qwen2") return none;
  const isOff = modelType === "qwen2" && !fields.boolean("use_sliding_window", false);
  const size = windowSize(fields);
  const slidingWindow = isOff ? 0 : size;
  const named = namedSlidingLayers(fields, layers);
  const slidingLayers = modelType === "qwen2" ? (named ?? lastLayers(fields, layers)) : named;
  if (slidingWindow === 0) {
    const switches = modelType === "qwen2" ? "use_sliding_window and sliding_window give" : "sliding_window gives";
    if (named && named.length > 0) fields.problem(`layer_types has sliding_attention, but ${switches} no window`);
    return none;
  }
  return slidingLayers?.length === 0 ? none : { slidingWindow, slidingLayers };
}

/** An explicit null means no window; an absent key means the class's default. */
function windowSize(fields: JsonFields): number {
  if (fields.has("sliding_window") && fields.raw("sliding_window") === undefined) return 0;
  return fields.integer("sliding_window", { min: 1, fallback: 4096 });
}

/** Qwen2's layers that slide where `layer_types` is not there: those from `max_window_layers` on. */
function lastLayers(fields: JsonFields, layers: number): number[] {
  const first = fields.integer("max_window_layers", { min: 0, fallback: 28 });
  return Array.from({ length: Math.max(0, layers - first) || 0 }, (_, i) => first + i);
}

/** The layers that `layer_types` lets slide; undefined where it is not there. */
function namedSlidingLayers(fields: JsonFields, layers: number): number[] | undefined {
  const types = fields.raw("layer_types");
  if (types === undefined) return undefined;
  fields.raw("max_window_layers"); // stands back
  const known = ["full_attention", "sliding_attention"];
  if (!Array.isArray(types) || types.length !== layers || !types.every((type) => known.includes(type))) {
    fields.problem(
      `layer_types is ${shown(types)}, needed is a list of ${layers} names, each one of ${known.join(", ")}`,
    );
    return [];
  }
  return types.flatMap((type, i) => (type === "sliding_attention" ? [i] : []));
}

/** √hidden_size, rounded to the dtype of the checkpoint: transformers rounds it to that of the embedding. */
function gemmaScale(fields: JsonFields, hiddenSize: number): number {
  const stored = fields.raw("dtype") ?? fields.raw("torch_dtype");
  const dtype = stored === "bfloat16" ? "bf16" : stored === "float16" ? "f16" : "f32";
  const rounded = new Float32Array(1);
  widen(dtype, narrow(Float32Array.of(Math.sqrt(hiddenSize)), dtype), rounded);
  return rounded[0];
}
