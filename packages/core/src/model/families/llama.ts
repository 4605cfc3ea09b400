/**
 * Llama (1 to 3, TinyLlama, SmolLM, Vicuna, Yi …), and the parts that its likes share: defaults are those of transformers 5.18
 * (`configuration_llama.py`).
 */
import type { JsonFields } from "../../formats/json_fields.ts";
import type { ModelConfig } from "../config.ts";
import { checkName, MAX_LAYERS, tokenIds } from "../hf_fields.ts";
import { parseRope, type RopeDefaults } from "../hf_rope.ts";
import { embeddingSource, headSource, stacked, type WeightPart, type WeightSource } from "../weight_sources.ts";
import { type LayerWeight, weightNames } from "../weights.ts";
import { deltaSources, isDelta } from "./delta_sources.ts";
import { type ExpertNames, expertSources, isRouted } from "./expert_sources.ts";
import type { Architecture, ConfigReading, Family } from "./family.ts";
import { rotaryRows } from "./rotary_rows.ts";

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
  /** Whether the family has heads of keys at all. */
  hasKvHeads: true,
  headDim: undefined as number | undefined,
  contextLength: 2048,
  normEps: 1e-6,
  /** Name of the key that holds it. */
  normEpsKey: "rms_norm_eps" as "rms_norm_eps" | "layer_norm_eps",
  rope: { ropeTheta: 10_000 } as RopeDefaults,
  activation: "silu",
  /** Name of the key that holds it. */
  activationKey: "hidden_act",
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

export type Sizes = Pick<
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
  | "rotaryDim"
  | "queryGrowth"
  | "slidingRope"
>;

/** Reads the sizes and the rotation of a config that is written as Llama's. */
export function readSizes(reading: ConfigReading, fallback: typeof llamaDefaults): Sizes {
  const { fields } = reading;
  const hiddenSize = fields.integer("hidden_size", { min: 1 });
  const heads = fields.integer("num_attention_heads", { min: 1 });
  const layers = fields.integer("num_hidden_layers", { min: 1, max: MAX_LAYERS });
  // An absent key takes the class's default, a null means one key/value head per query head.
  const kvDefault = fields.has("num_key_value_heads") ? heads : (fallback.kvHeads ?? heads);
  const kvHeads = fallback.hasKvHeads ? fields.integer("num_key_value_heads", { min: 1, fallback: kvDefault }) : heads;
  if (heads % kvHeads > 0) {
    fields.problem(`num_key_value_heads is ${kvHeads}, needed is a divisor of the ${heads} attention heads`);
  }
  if (fields.raw("head_dim") === undefined && fallback.headDim === undefined && hiddenSize % heads > 0) {
    fields.problem(`hidden_size is ${hiddenSize}, needed is a multiple of the ${heads} attention heads`);
  }
  const headDim = fields.integer("head_dim", { min: 2, fallback: fallback.headDim ?? Math.floor(hiddenSize / heads) });
  if (headDim % 2 > 0) fields.problem(`head_dim is ${headDim}, rotary embedding needs an even number`);
  const contextLength = fields.integer("max_position_embeddings", { min: 1, fallback: fallback.contextLength });
  checkName(fields, fallback.activationKey, fallback.activation, fallback.activations);
  return {
    vocabSize: fields.integer("vocab_size", { min: 1 }),
    hiddenSize,
    intermediateSize: fields.integer("intermediate_size", { min: 1 }),
    layers,
    heads,
    kvHeads,
    headDim,
    contextLength,
    normEps: fields.number(fallback.normEpsKey, { above: 0, fallback: fallback.normEps }),
    ...parseRope(reading, { contextLength, headDim }, fallback.rope),
  };
}

/** Reports heads of another width than D / H, which the family does not have. */
export function checkWholeHeads(
  fields: JsonFields,
  { hiddenSize, heads, headDim }: Pick<Sizes, "hiddenSize" | "heads" | "headDim">,
): void {
  if (headDim * heads === hiddenSize || Number.isNaN(hiddenSize)) return;
  fields.problem(`head_dim is ${headDim}, supported is hidden_size / num_attention_heads`);
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

/** How the weights of a family differ from Llama's. */
export interface WeightTraits {
  /** What a loader does to the norms that the file holds. */
  readonly normChange?: WeightPart["change"];
  /** Norms have biases. */
  readonly normBias?: boolean;
  /** The file holds `qkv_proj` and `gate_up_proj`, whose rows are stacked as ours are. */
  readonly fused?: boolean;
  /** Attention and MLP share the norm in front of them. */
  readonly oneNorm?: boolean;
  /** What a loader multiplies queries with: engines divide scores by √headDim, whatever the base does. */
  readonly queryScale?: number;
  /** What a loader multiplies the final norm with: a factor of all logits. */
  readonly logitScale?: number;
  /** What a layer's router and experts are called, if it has some. */
  readonly experts?: ExpertNames;
  /** Names of the norms in front of the MLP and behind attention and MLP. */
  readonly normNames?: { readonly mlp: string; readonly attentionOutput: string; readonly mlpOutput: string };
}

interface VectorChange {
  readonly times?: number;
  readonly rowTo?: WeightPart["rowTo"] | undefined;
}

/** Weights of a model with Llama's names. */
export function llamaWeights(config: ModelConfig, traits: WeightTraits = {}): WeightSource[] {
  const { hiddenSize: D, heads, kvHeads, headDim } = config;
  const sources = [embeddingSource(config, "model.embed_tokens.weight")];
  const { normChange: change, normNames: names = llamaNormNames } = traits;
  const addVector = (name: string, hfName: string, length: number, more: VectorChange = {}) => {
    const { times = 1, rowTo } = more;
    const changes = { ...(change && { change }), ...(times !== 1 && { times }), ...(rowTo && { rowTo }) };
    sources.push(stacked(name, { hfName, shape: [length], ...changes }));
  };
  const addNorm = (name: string, biasName: string, hfName: string, times = 1) => {
    addVector(name, `${hfName}.weight`, D, { times });
    if (traits.normBias) sources.push(stacked(biasName, { hfName: `${hfName}.bias`, shape: [D] }));
  };
  for (let i = 0; i < config.layers; i++) {
    const layer = `model.layers.${i}`;
    const name = (weight: LayerWeight) => weightNames.layer(i, weight);
    const parts = projections(config, traits);
    const add = (weight: LayerWeight, of: readonly Projection[], columns?: number) => {
      const kind = columns === undefined ? "bias" : "weight";
      const part = ({ path, rows, rowTo, times }: Projection): WeightPart => ({
        hfName: `${layer}.${path}.${kind}`,
        shape: columns === undefined ? [rows] : [rows, columns],
        ...(rowTo && { rowTo }),
        ...(times !== undefined && times !== 1 && { times }),
      });
      sources.push(stacked(name(weight), ...of.map(part)));
    };
    const hasEntryNorms = config.outputNorms !== "after-only";
    if (hasEntryNorms) addNorm(name("attnNorm"), name("attnNormBias"), `${layer}.input_layernorm`);
    if (isDelta(config, i)) sources.push(...deltaSources(config, i, layer));
    else {
      add("qkv", parts.qkv, D);
      add("o", parts.o, heads * headDim);
      if (config.qkvBias) add("qkvBias", parts.qkv);
      if (config.outputBias) add("oBias", parts.o);
      if (config.qkNorm) {
        const [own, width] = [config.qkNorm === "head", (count: number) => (own ? headDim : count * headDim)];
        const rowTo = (count: number) => rotaryRows(config, own ? 1 : count);
        const [q, k] = [`${layer}.self_attn.q_norm.weight`, `${layer}.self_attn.k_norm.weight`];
        addVector(name("qNorm"), q, width(heads), { times: traits.queryScale ?? 1, rowTo: rowTo(heads) });
        addVector(name("kNorm"), k, width(kvHeads), { rowTo: rowTo(kvHeads) });
      }
    }
    if (config.outputNorms) addVector(name("attnOutNorm"), `${layer}.${names.attentionOutput}.weight`, D);
    const mlpNorm = traits.oneNorm ? "input_layernorm" : names.mlp;
    if (hasEntryNorms) addNorm(name("mlpNorm"), name("mlpNormBias"), `${layer}.${mlpNorm}`);
    if (traits.experts && isRouted(config, i)) sources.push(...expertSources(config, i, layer, traits.experts));
    else {
      add("gateUp", parts.gateUp, D);
      add("down", parts.down, config.intermediateSize);
    }
    if (config.outputNorms) addVector(name("mlpOutNorm"), `${layer}.${names.mlpOutput}.weight`, D);
    if (config.mlpBias) {
      add("gateUpBias", parts.gateUp);
      add("downBias", parts.down);
    }
  }
  addNorm(weightNames.finalNorm, weightNames.finalNormBias, "model.norm", traits.logitScale);
  return [...sources, ...headSource(config)];
}

const llamaNormNames = {
  mlp: "post_attention_layernorm",
  attentionOutput: "post_attention_layernorm",
  mlpOutput: "post_feedforward_layernorm",
};

/** A linear map of a layer in the file. */
interface Projection {
  readonly path: string;
  readonly rows: number;
  readonly times?: number | undefined;
  readonly rowTo?: WeightPart["rowTo"];
}

type LinearMap = "qkv" | "o" | "gateUp" | "down";

function projections(
  config: ModelConfig,
  { fused, queryScale }: WeightTraits,
): Readonly<Record<LinearMap, readonly Projection[]>> {
  const { hiddenSize: D, intermediateSize: F, heads: H, kvHeads: G, headDim: d } = config;
  const rotated = (path: string, rows: number, heads: number) => ({ path, rows, rowTo: rotaryRows(config, heads) });
  const queries = config.outputGate
    ? { path: "self_attn.q_proj", rows: 2 * H * d, rowTo: gatedRows(config) }
    : rotated("self_attn.q_proj", H * d, H);
  const qkv = fused
    ? [rotated("self_attn.qkv_proj", (H + 2 * G) * d, H + G)]
    : [
        // Under a norm of queries it is the norm that scales them.
        { ...queries, times: config.qkNorm ? 1 : queryScale },
        rotated("self_attn.k_proj", G * d, G),
        { path: "self_attn.v_proj", rows: G * d },
      ];
  const gateUp = fused
    ? [{ path: "mlp.gate_up_proj", rows: 2 * F }]
    : [
        { path: "mlp.gate_proj", rows: F },
        { path: "mlp.up_proj", rows: F },
      ];
  return { qkv, gateUp, o: [{ path: "self_attn.o_proj", rows: D }], down: [{ path: "mlp.down_proj", rows: D }] };
}

/** The file has head by head its d rows of queries and its d rows of gates; ours are all queries, then all gates. */
function gatedRows(config: ModelConfig): (stored: number) => number {
  const { heads: H, headDim: d } = config;
  const rotated = rotaryRows(config, H) ?? ((row: number) => row);
  return (stored) => {
    const [head, row] = [Math.floor(stored / (2 * d)), stored % (2 * d)];
    return row < d ? rotated(head * d + row) : (H + head) * d + row - d;
  };
}
