/** Small random models of any shape, made from a seed: in memory, or as a Hugging Face folder. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AdaptionPromptConfig } from "../src/adapter/files/config.ts";
import { adapterLayout, layerParts } from "../src/adapter/kinds/adaption_prompt.ts";
import type { AdapterState } from "../src/adapter/kinds/kind.ts";
import type { AdapterShape } from "../src/adapter/layout.ts";
import { initParameters, partNumbers } from "../src/adapter/parameters.ts";
import type { Cell, TokenSet } from "../src/cell/tokens.ts";
import type { Engine } from "../src/engine/engine.ts";
import { createReferenceEngine } from "../src/engine/reference.ts";
import { serializeSafetensors, type Tensor } from "../src/formats/safetensors.ts";
import type { ModelConfig } from "../src/model/config.ts";
import { createModel, type DecoderModel } from "../src/model/decoder.ts";
import { weightSources } from "../src/model/hf_names.ts";
import type { WeightImage, WeightPlace } from "../src/model/weights.ts";
import { normal, randomBits } from "../src/random.ts";

/** Three layers, two query heads per key/value head, and a head dimension that is not D / H. */
export function tinyConfig(changes: Partial<ModelConfig> = {}): ModelConfig {
  return {
    modelType: "llama",
    vocabSize: 31,
    hiddenSize: 12,
    intermediateSize: 20,
    layers: 3,
    heads: 4,
    kvHeads: 2,
    headDim: 6,
    contextLength: 64,
    normEps: 1e-5,
    ropeTheta: 1e4,
    ropeScaling: { type: "default" },
    slidingWindow: 0,
    slidingLayers: undefined,
    embedScale: 1,
    tiedEmbeddings: false,
    qkvBias: false,
    outputBias: false,
    mlpBias: false,
    bosTokenId: 1,
    eosTokenIds: [2],
    ...changes,
  };
}

/** One of every kind of base, by its difference from the plain one. */
export const tinyBases = [
  { title: "llama with grouped queries and biases", changes: { qkvBias: true, outputBias: true, mlpBias: true } },
  { title: "llama, multi-head, tied", changes: { kvHeads: 4, tiedEmbeddings: true } },
  { title: "mistral with a sliding window", changes: { modelType: "mistral", slidingWindow: 3 } },
  {
    title: "qwen2 with a window in its top layers",
    changes: { modelType: "qwen2", qkvBias: true, slidingWindow: 3, slidingLayers: [1, 2] },
  },
  {
    title: "gemma with one key head",
    changes: { modelType: "gemma", kvHeads: 1, tiedEmbeddings: true, embedScale: Math.fround(Math.sqrt(12)) },
  },
  {
    title: "gpt2",
    changes: {
      modelType: "gpt2",
      kvHeads: 4,
      headDim: 3,
      tiedEmbeddings: true,
      qkvBias: true,
      outputBias: true,
      mlpBias: true,
    },
  },
  {
    title: "phi3, whose rotation changes at 12 tokens",
    changes: {
      modelType: "phi3",
      rotaryDim: 4,
      ropeScaling: {
        type: "longrope",
        shortFactors: [1, 1.5],
        longFactors: [2, 4],
        originalContext: 12,
        attentionFactor: 1.25,
      },
    },
  },
  {
    title: "ministral3, whose queries grow",
    changes: { modelType: "ministral3", queryGrowth: { beta: 0.3, originalContext: 2 } },
  },
  { title: "smollm3 with a layer that is not rotated", changes: { modelType: "smollm3", unrotatedLayers: [1] } },
  {
    title: "stablelm",
    changes: { modelType: "stablelm", heads: 2, kvHeads: 1, rotaryDim: 2, qkvBias: true, parallelResidual: false },
  },
  {
    title: "stablelm, parallel",
    changes: { modelType: "stablelm", heads: 2, kvHeads: 1, rotaryDim: 2, parallelResidual: true },
  },
  { title: "qwen3", changes: { modelType: "qwen3", qkNorm: "head" } },
  {
    title: "qwen3_moe with a dense layer between",
    changes: {
      modelType: "qwen3_moe",
      qkNorm: "head",
      experts: { count: 4, perToken: 2, intermediateSize: 10, isNormalized: false, denseLayers: [1] },
    },
  },
  {
    title: "mixtral",
    changes: {
      modelType: "mixtral",
      intermediateSize: 10,
      experts: { count: 3, perToken: 2, intermediateSize: 10, isNormalized: true, denseLayers: [] },
    },
  },
  {
    title: "qwen3_5 with delta nets around a layer that attends",
    changes: {
      modelType: "qwen3_5_text",
      kvHeads: 1,
      layers: 4,
      rotaryDim: 4,
      qkNorm: "head",
      outputGate: true,
      deltaNet: { layers: [0, 2], keyHeads: 2, valueHeads: 4, keyDim: 3, valueDim: 2, taps: 3 },
    },
  },
  {
    title: "olmo2",
    changes: { modelType: "olmo2", qkNorm: "all-heads", outputNorms: "after-only" },
  },
  {
    title: "olmo3, with two rotations",
    changes: {
      modelType: "olmo3",
      qkNorm: "all-heads",
      outputNorms: "after-only",
      slidingWindow: 3,
      slidingLayers: [0, 2],
      ropeScaling: { type: "linear", factor: 4 },
      slidingRope: { ropeTheta: 1e4, ropeScaling: { type: "default" } },
    },
  },
  {
    title: "gemma2 with soft caps",
    changes: {
      modelType: "gemma2",
      headDim: 4,
      outputNorms: "after",
      slidingWindow: 3,
      slidingLayers: [0, 2],
      scoreScale: 0.25,
      scoreCap: 1.5,
      logitCap: 2,
      tiedEmbeddings: true,
      embedScale: Math.fround(Math.sqrt(12)),
    },
  },
  {
    title: "gemma3",
    changes: {
      modelType: "gemma3_text",
      kvHeads: 1,
      headDim: 4,
      qkNorm: "head",
      outputNorms: "after",
      slidingWindow: 3,
      slidingLayers: [0, 1],
      slidingRope: { ropeTheta: 100, ropeScaling: { type: "default" } },
      scoreScale: 0.25,
      tiedEmbeddings: true,
      embedScale: Math.fround(Math.sqrt(12)),
    },
  },
  {
    title: "granite",
    changes: {
      modelType: "granite",
      headDim: 4,
      qkvBias: true,
      outputBias: true,
      embedScale: 3,
      scoreScale: 0.25,
      residualScale: 0.6,
      logitScale: 0.5,
    },
  },
  {
    title: "gpt_neox",
    changes: {
      modelType: "gpt_neox",
      kvHeads: 2,
      heads: 2,
      rotaryDim: 4,
      parallelResidual: true,
      qkvBias: true,
      outputBias: true,
      mlpBias: true,
    },
  },
] as const satisfies readonly { title: string; changes: Partial<ModelConfig> }[];

/** Weights so large that every block matters: activations of order one, norms and biases that differ by channel. */
export function tinyImage(config: ModelConfig, seed = 1): WeightImage {
  const places: Record<string, WeightPlace> = {};
  let offset = 0;
  for (const { name, shape } of weightSources(config)) {
    const byteLength = 4 * shape.reduce((a, b) => a * b, 1);
    places[name] = { dtype: "f32", shape, offset, byteLength };
    offset = Math.ceil((offset + byteLength) / 64) * 64;
  }
  const bytes = new SharedArrayBuffer(offset);
  for (const [index, [name, place]] of Object.entries(places).entries()) {
    const values = new Float32Array(bytes, place.offset, place.byteLength / 4);
    const columns = place.shape[1];
    const isNorm = name.endsWith("Norm");
    const mean = isNorm ? 1 : 0;
    const deviation = columns === undefined ? 0.2 : name === "embed" ? 1 : 1 / Math.sqrt(columns);
    for (let i = 0; i < values.length; i++) values[i] = mean + deviation * normal(seed, index, i);
    // Exact as a distance from 1 too, which is how Gemma stores them.
    if (isNorm) for (const [i, value] of values.entries()) values[i] = Math.round(value * 2 ** 20) / 2 ** 20;
  }
  // One tensor of a file may be two weights.
  const firsts = new Map<string, WeightPlace>();
  for (const { name, parts } of weightSources(config)) {
    const first = firsts.get(parts[0].hfName);
    const own = places[name];
    if (first) new Uint8Array(bytes).copyWithin(own.offset, first.offset, first.offset + own.byteLength);
    else firsts.set(parts[0].hfName, own);
  }
  return { bytes, places };
}

export interface TinyModel {
  readonly config: ModelConfig;
  readonly image: WeightImage;
  readonly model: DecoderModel;
}

export function tinyModel(changes: Partial<ModelConfig> = {}, engine: Engine = createReferenceEngine()): TinyModel {
  const config = tinyConfig(changes);
  const image = tinyImage(config);
  return { config, image, model: createModel(engine, config, image) };
}

/** The four kinds of gate. */
export const gateKinds = [
  { gateSharing: "scalar", gateActivation: "none" },
  { gateSharing: "scalar", gateActivation: "tanh" },
  { gateSharing: "per-head", gateActivation: "none" },
  { gateSharing: "per-head", gateActivation: "tanh" },
] as const satisfies readonly Pick<AdapterShape, "gateSharing" | "gateActivation">[];

/** An adapter as if trained: gates between −1 and 1, none of them 0 and no two alike. With `gates` 0 a fresh one. */
export function tinyAdapter(
  config: ModelConfig,
  shape: Partial<AdapterShape> = {},
  { gates = 1, seed = 5 }: { gates?: number; seed?: number } = {},
): AdapterState {
  const layout = adapterLayout(
    { promptLength: 3, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none", ...shape },
    config,
  );
  const params = initParameters(layout.table, seed);
  for (const { layer, gate } of layerParts(layout)) {
    const stored = partNumbers(gate, params);
    for (let i = 0; i < stored.length; i++) stored[i] = gates * Math.cos(1 + 2 * layer + i);
  }
  return { layout, params };
}

/** What PEFT's users write: the rest has defaults there. */
export function adapterConfig(changes: Partial<AdaptionPromptConfig> = {}): AdaptionPromptConfig {
  return {
    peftType: "ADAPTION_PROMPT",
    targetModules: null,
    adapterLen: 3,
    adapterLayers: 2,
    taskType: "CAUSAL_LM",
    inferenceMode: false,
    baseModelNameOrPath: null,
    revision: null,
    autoMapping: null,
    ...changes,
  };
}

/** Samples of these lengths with random tokens; the second half of each is to be predicted. */
export function tinyTokens(config: ModelConfig, lengths: readonly number[], seed = 3): TokenSet {
  const offsets = Float64Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b))]);
  const total = offsets[lengths.length];
  const ids = Int32Array.from({ length: total }, (_, i) => randomBits(seed, i) % config.vocabSize);
  const target = new Uint8Array(total);
  for (const [s, length] of lengths.entries()) target.fill(1, offsets[s] + Math.ceil(length / 2), offsets[s + 1]);
  return { ids, target, offsets, hash: "" };
}

/** Sum of the labelled tokens of some cells: the denominator of their step. */
export const labelled = (...cells: readonly Cell[]): number =>
  cells.reduce((sum, { rows_R }) => sum + rows_R.length, 0);

/** Writes `config.json` and `model.safetensors` as transformers would. */
export function writeTinyModel(folder: string, config: ModelConfig, image: WeightImage): void {
  const tensors = new Map<string, Tensor>();
  for (const { name, parts } of weightSources(config)) {
    let offset = image.places[name].offset;
    for (const { hfName, shape, change, times = 1, rowTo } of parts) {
      const length = shape.reduce((a, b) => a * b, 1);
      const placed = new Float32Array(image.bytes, offset, length);
      const width = length / shape[0];
      const values = rowTo
        ? placed.map((_, i) => placed[rowTo(Math.floor(i / width)) * width + (i % width)])
        : placed.slice();
      if (times !== 1) for (const [i, value] of values.entries()) values[i] = value / times;
      if (change === "add-one") for (const [i, value] of values.entries()) values[i] = value - 1;
      const [rows, columns] = shape;
      const stored =
        change === "transpose" ? values.map((_, i) => values[(i % columns) * rows + Math.floor(i / columns)]) : values;
      tensors.set(hfName, { dtype: "F32", shape, bytes: new Uint8Array(stored.buffer) });
      offset += 4 * length;
    }
  }
  writeFileSync(join(folder, "config.json"), JSON.stringify(hfConfig(config)));
  writeFileSync(join(folder, "model.safetensors"), serializeSafetensors(tensors, { format: "pt" }));
}

function hfConfig(config: ModelConfig): Record<string, unknown> {
  const common = {
    model_type: config.modelType,
    dtype: "float32",
    vocab_size: config.vocabSize,
    tie_word_embeddings: config.tiedEmbeddings,
    bos_token_id: config.bosTokenId,
    eos_token_id: config.eosTokenIds,
  };
  if (config.modelType === "gpt2") {
    return {
      ...common,
      n_embd: config.hiddenSize,
      n_inner: config.intermediateSize,
      n_layer: config.layers,
      n_head: config.heads,
      n_positions: config.contextLength,
      layer_norm_epsilon: config.normEps,
      activation_function: "gelu_new",
    };
  }
  if (config.modelType === "gpt_neox") {
    return {
      ...common,
      hidden_size: config.hiddenSize,
      intermediate_size: config.intermediateSize,
      num_hidden_layers: config.layers,
      num_attention_heads: config.heads,
      max_position_embeddings: config.contextLength,
      layer_norm_eps: config.normEps,
      rotary_pct: (config.rotaryDim ?? config.headDim) / config.headDim,
      rotary_emb_base: config.ropeTheta,
      use_parallel_residual: config.parallelResidual,
      attention_bias: config.qkvBias,
    };
  }
  const { slidingWindow, slidingLayers, rotaryDim, ropeScaling, unrotatedLayers } = config;
  const isNormedGemma = ["gemma2", "gemma3_text"].includes(config.modelType);
  return {
    ...common,
    ...(ropeScaling.type === "longrope" && {
      original_max_position_embeddings: ropeScaling.originalContext,
      rope_scaling: {
        type: "longrope",
        short_factor: ropeScaling.shortFactors,
        long_factor: ropeScaling.longFactors,
        attention_factor: ropeScaling.attentionFactor,
      },
    }),
    ...(config.slidingRope && {
      rope_parameters: {
        full_attention: hfRope(config),
        sliding_attention: hfRope(config.slidingRope),
      },
      rope_theta: undefined,
    }),
    ...(config.queryGrowth && {
      rope_parameters: {
        ...hfRope(config),
        llama_4_scaling_beta: config.queryGrowth.beta,
        original_max_position_embeddings: config.queryGrowth.originalContext,
      },
    }),
    ...(config.modelType === "granite" && {
      embedding_multiplier: config.embedScale,
      attention_multiplier: config.scoreScale,
      residual_multiplier: config.residualScale,
      logits_scaling: 1 / (config.logitScale ?? 1),
    }),
    ...(isNormedGemma && {
      query_pre_attn_scalar: Math.round((config.scoreScale ?? 1) ** -2),
      attn_logit_softcapping: config.scoreCap ?? null,
      final_logit_softcapping: config.logitCap ?? null,
    }),
    ...hfExperts(config),
    ...hfDeltaNet(config),
    ...(rotaryDim && { partial_rotary_factor: rotaryDim / config.headDim }),
    ...(unrotatedLayers && {
      no_rope_layers: Array.from({ length: config.layers }, (_, i) => (unrotatedLayers.includes(i) ? 0 : 1)),
    }),
    ...(config.modelType === "stablelm" && {
      layer_norm_eps: config.normEps,
      use_qkv_bias: config.qkvBias,
      use_parallel_residual: config.parallelResidual,
    }),
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    [isNormedGemma ? "hidden_activation" : "hidden_act"]: config.modelType.startsWith("gemma")
      ? "gelu_pytorch_tanh"
      : "silu",
    max_position_embeddings: config.contextLength,
    rms_norm_eps: config.normEps,
    rope_theta: config.ropeTheta,
    sliding_window: slidingWindow === 0 ? null : slidingWindow,
    use_sliding_window: slidingWindow > 0,
    ...(slidingLayers && {
      layer_types: Array.from({ length: config.layers }, (_, i) =>
        slidingLayers.includes(i) ? "sliding_attention" : "full_attention",
      ),
    }),
    attention_bias: config.outputBias,
    mlp_bias: config.mlpBias,
  };
}

function hfExperts({ modelType, experts }: ModelConfig) {
  if (!experts) return {};
  const { count, perToken, intermediateSize, isNormalized, denseLayers } = experts;
  if (modelType === "mixtral") return { num_local_experts: count, num_experts_per_tok: perToken };
  return {
    num_experts: count,
    num_experts_per_tok: perToken,
    moe_intermediate_size: intermediateSize,
    norm_topk_prob: isNormalized,
    mlp_only_layers: denseLayers,
  };
}

function hfDeltaNet({ deltaNet, layers }: ModelConfig) {
  if (!deltaNet) return {};
  return {
    linear_num_key_heads: deltaNet.keyHeads,
    linear_num_value_heads: deltaNet.valueHeads,
    linear_key_head_dim: deltaNet.keyDim,
    linear_value_head_dim: deltaNet.valueDim,
    linear_conv_kernel_dim: deltaNet.taps,
    layer_types: Array.from({ length: layers }, (_, i) =>
      deltaNet.layers.includes(i) ? "linear_attention" : "full_attention",
    ),
  };
}

function hfRope({ ropeTheta, ropeScaling }: Pick<ModelConfig, "ropeTheta" | "ropeScaling">) {
  const factor = ropeScaling.type === "linear" ? { factor: ropeScaling.factor } : {};
  return { rope_theta: ropeTheta, rope_type: ropeScaling.type, ...factor };
}
