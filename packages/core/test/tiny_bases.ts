/** Bases of every kind that models are made of, as differences from the plain one of tiny_model.ts. */
import type { ModelConfig } from "../src/model/config.ts";

export interface TinyBase {
  readonly title: string;
  readonly changes: Partial<ModelConfig>;
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
] as const satisfies readonly TinyBase[];

/** Six that go through a pass in ways of their own: biases, one norm fewer, longrope, experts, delta nets, soft caps. */
export const unlikeBases: readonly TinyBase[] = tinyBases.filter(({ changes }) =>
  ["gpt2", "phi3", "qwen3_moe", "qwen3_5_text", "gemma2"].includes("modelType" in changes ? changes.modelType : ""),
);
