/**
 * Reads a Hugging Face `config.json` of the Llama family. Defaults and the two spellings of the rotary settings are those
 * of transformers 5.18 (`configuration_llama.py`, `configuration_mistral.py`, `modeling_rope_utils.py`); what its
 * forward would silently do differently here is refused.
 */
import { InputError } from "../errors.ts";
import { isJsonObject, type JsonFields, jsonFields } from "../formats/json_fields.ts";
import type { ModelConfig } from "./config.ts";
import { parseRope } from "./hf_rope.ts";

const supportedTypes = ["llama", "mistral"] as const;
type ModelType = (typeof supportedTypes)[number];

/** More layers than any model has; a bound for loops over a number from a file. */
const MAX_LAYERS = 10_000;

/** What transformers fills in where `config.json` says nothing; the five main sizes must be there. */
const defaults = {
  llama: { kvHeads: undefined, contextLength: 2048, slidingWindow: undefined },
  mistral: { kvHeads: 8, contextLength: 131_072, slidingWindow: 4096 },
} as const;

/** Throws an `InputError` that lists everything in `json` that is missing, wrong or not supported. */
export function parseModelConfig(json: unknown, path: string): ModelConfig {
  const attempt = `Cannot use ${path} as a model config`;
  if (!isJsonObject(json)) throw new InputError(attempt, "it is not a JSON object");
  const problems: string[] = [];
  const fields = jsonFields(json, problems);
  const modelType = fields.raw("model_type");
  if (!isSupported(modelType)) {
    const found = modelType === undefined ? "missing" : JSON.stringify(modelType).slice(0, 200);
    throw new InputError(attempt, `model_type is ${found}, supported are ${supportedTypes.join(", ")}`);
  }
  const config = parseFields(fields, json, modelType, problems);
  if (problems.length > 0) throw new InputError(attempt, problems);
  return config;
}

function isSupported(type: unknown): type is ModelType {
  return supportedTypes.some((supported) => supported === type);
}

function parseFields(
  fields: JsonFields,
  json: Readonly<Record<string, unknown>>,
  modelType: ModelType,
  problems: string[],
): ModelConfig {
  const isLlama = modelType === "llama";
  const fallback = defaults[modelType];
  const hiddenSize = fields.integer("hidden_size", { min: 1 });
  const heads = fields.integer("num_attention_heads", { min: 1 });
  // An absent key takes the class's default, a null means one key/value head per query head.
  const kvDefault = fields.has("num_key_value_heads") ? heads : (fallback.kvHeads ?? heads);
  const kvHeads = fields.integer("num_key_value_heads", { min: 1, fallback: kvDefault });
  if (heads % kvHeads > 0) {
    fields.problem(`num_key_value_heads is ${kvHeads}, needed is a divisor of the ${heads} attention heads`);
  }
  if (fields.raw("head_dim") === undefined && hiddenSize % heads > 0) {
    fields.problem(`hidden_size is ${hiddenSize}, needed is a multiple of the ${heads} attention heads`);
  }
  const headDim = fields.integer("head_dim", { min: 2, fallback: Math.floor(hiddenSize / heads) });
  if (headDim % 2 > 0) fields.problem(`head_dim is ${headDim}, rotary embedding needs an even number`);
  const contextLength = fields.integer("max_position_embeddings", { min: 1, fallback: fallback.contextLength });
  const activation = fields.raw("hidden_act") ?? "silu";
  if (activation !== "silu") {
    fields.problem(`hidden_act is ${JSON.stringify(activation).slice(0, 200)}, supported is "silu"`);
  }
  if (fields.raw("quantization_config") !== undefined) {
    fields.problem("quantization_config is set, supported are weights in F32, F16 or BF16: use the original model");
  }
  return {
    modelType,
    vocabSize: fields.integer("vocab_size", { min: 1 }),
    hiddenSize,
    intermediateSize: fields.integer("intermediate_size", { min: 1 }),
    layers: fields.integer("num_hidden_layers", { min: 1, max: MAX_LAYERS }),
    heads,
    kvHeads,
    headDim,
    contextLength,
    rmsNormEps: fields.number("rms_norm_eps", { above: 0, fallback: 1e-6 }),
    ...parseRope(json, contextLength, problems),
    slidingWindow: isLlama ? 0 : slidingWindow(fields, fallback.slidingWindow ?? 0),
    tiedEmbeddings: fields.boolean("tie_word_embeddings", false),
    // Mistral has no biases; transformers ignores these keys there.
    attentionBias: isLlama && fields.boolean("attention_bias", false),
    mlpBias: isLlama && fields.boolean("mlp_bias", false),
    bosTokenId: tokenIds(fields, "bos_token_id", 1)[0],
    eosTokenIds: tokenIds(fields, "eos_token_id", 2),
  };
}

/** An explicit null means no window; an absent key means the class's default. */
function slidingWindow(fields: JsonFields, fallback: number): number {
  if (fields.has("sliding_window") && fields.raw("sliding_window") === undefined) return 0;
  return fields.integer("sliding_window", { min: 1, fallback });
}

/** One id, a list of ids, null for none. */
function tokenIds(fields: JsonFields, name: string, fallback: number): readonly number[] {
  const value = fields.has(name) ? (fields.raw(name) ?? []) : fallback;
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  const valid = ids.filter((id): id is number => typeof id === "number" && Number.isSafeInteger(id) && id >= 0);
  if (valid.length !== ids.length) {
    fields.problem(`${name} is ${JSON.stringify(value).slice(0, 200)}, needed is a token id or a list of them`);
  }
  return valid;
}
