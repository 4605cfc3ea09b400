/**
 * Llama (1 to 3, TinyLlama, SmolLM, Vicuna, Yi …), and the parts that its likes share: defaults are those of transformers 5.18
 * (`configuration_llama.py`).
 */
import type { JsonFields } from "../../formats/json_fields.ts";
import type { ModelConfig } from "../config.ts";
import { checkName, MAX_LAYERS, tokenIds } from "../hf_fields.ts";
import { parseRope } from "../hf_rope.ts";
import { embeddingSource, headSource, stacked, type WeightPart, type WeightSource } from "../weight_sources.ts";
import { type LayerWeight, weightNames } from "../weights.ts";
import type { Architecture, ConfigReading, Family } from "./family.ts";

export const llamaArchitecture: Architecture = {
  norm: "rms",
  activation: "swiglu",
  positions: "rotary",
  promptsJoin: "before-output",
  modules: { root: "model", layers: "layers", attention: "self_attn" },
};

/** transformers fills these in if `config.json` says nothing; the five main sizes must be there. */
export const llamaDefaults = {
  kvHeads: undefined as number | undefined,
  headDim: undefined as number | undefined,
  contextLength: 2048,
  activation: "silu",
  /** Names of the same function. */
  activations: ["silu", "swish"] as readonly string[],
  tiedEmbeddings: false,
  bosTokenId: [1] as readonly number[],
  eosTokenId: [2] as readonly number[],
};

export const llama: Family = {
  modelType: "llama",
  classes: ["LlamaForCausalLM", "LlamaModel"],
  architecture: llamaArchitecture,
  read(reading) {
    const { fields } = reading;
    const sizes = readSizes(reading, llamaDefaults);
    const attentionBias = fields.boolean("attention_bias", false);
    return {
      ...sizes,
      ...noWindow,
      ...readTokens(fields, llamaDefaults),
      embedScale: 1,
      qkvBias: attentionBias,
      outputBias: attentionBias,
      mlpBias: fields.boolean("mlp_bias", false),
    };
  },
  weights: (config) => llamaWeights(config),
};

export const noWindow = { slidingWindow: 0, slidingLayers: undefined } as const;

type Sizes = Pick<
  ModelConfig,
  | "vocabSize"
  | "hiddenSize"
  | "intermediateSize"
  | "layers"
  | "heads"
  | "kvHeads"
  | "headDim"
  | "contextLength"
  | "normEps"
  | "ropeTheta"
  | "ropeScaling"
>;

/** Reads the sizes and the rotation of a config that is written as Llama's. */
export function readSizes({ fields, problems, unused }: ConfigReading, fallback: typeof llamaDefaults): Sizes {
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
  return {
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
  };
}

/** Reads the ends of the model: whether its head is the embedding, and the ids of special tokens. */
export function readTokens(
  fields: JsonFields,
  fallback: Pick<typeof llamaDefaults, "tiedEmbeddings" | "bosTokenId" | "eosTokenId">,
): Pick<ModelConfig, "tiedEmbeddings" | "bosTokenId" | "eosTokenIds"> {
  return {
    tiedEmbeddings: fields.boolean("tie_word_embeddings", fallback.tiedEmbeddings),
    bosTokenId: tokenIds(fields, "bos_token_id", fallback.bosTokenId)[0],
    eosTokenIds: tokenIds(fields, "eos_token_id", fallback.eosTokenId),
  };
}

/** Weights of a model with Llama's names. `normChange` is what a loader does to the norms that the file holds. */
export function llamaWeights(config: ModelConfig, normChange?: WeightPart["change"]): WeightSource[] {
  const { hiddenSize: D, intermediateSize: F, heads, kvHeads, headDim } = config;
  const Q = heads * headDim;
  const KV = kvHeads * headDim;
  const norm = (hfName: string): WeightPart => ({ hfName, shape: [D], ...(normChange && { change: normChange }) });
  const sources = [embeddingSource(config, "model.embed_tokens.weight")];
  for (let i = 0; i < config.layers; i++) {
    const layer = `model.layers.${i}`;
    const add = (name: LayerWeight, ...parts: WeightPart[]) =>
      sources.push(stacked(weightNames.layer(i, name), ...parts));
    const attention = (projection: string, ...shape: number[]) => ({
      hfName: `${layer}.self_attn.${projection}`,
      shape,
    });
    const mlp = (projection: string, ...shape: number[]) => ({ hfName: `${layer}.mlp.${projection}`, shape });
    add("attnNorm", norm(`${layer}.input_layernorm.weight`));
    add("qkv", attention("q_proj.weight", Q, D), attention("k_proj.weight", KV, D), attention("v_proj.weight", KV, D));
    add("o", attention("o_proj.weight", D, Q));
    if (config.qkvBias) {
      add("qkvBias", attention("q_proj.bias", Q), attention("k_proj.bias", KV), attention("v_proj.bias", KV));
    }
    if (config.outputBias) add("oBias", attention("o_proj.bias", D));
    add("mlpNorm", norm(`${layer}.post_attention_layernorm.weight`));
    add("gateUp", mlp("gate_proj.weight", F, D), mlp("up_proj.weight", F, D));
    add("down", mlp("down_proj.weight", D, F));
    if (config.mlpBias) {
      add("gateUpBias", mlp("gate_proj.bias", F), mlp("up_proj.bias", F));
      add("downBias", mlp("down_proj.bias", D));
    }
  }
  sources.push(stacked(weightNames.finalNorm, norm("model.norm.weight")), ...headSource(config));
  return sources;
}
