/**
 * The frozen base in memory: one block of bytes (shared between threads) and where each weight lies in it.
 * Merged weights (QKV, gate·up) are contiguous in the block, so an engine sees each as one matrix.
 */
import type { DType, HostTensor } from "../engine/engine.ts";
import type { ModelConfig } from "./config.ts";

/** Where one weight lies inside the block; `offset` is a multiple of 64 bytes. */
export interface WeightPlace {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly byteLength: number;
}

/**
 * Our names of the weights. A model without biases lacks those names; a tied head is `embed`.
 * `qkv` stacks the rows of q_proj, k_proj, v_proj; `gateUp` those of gate_proj, up_proj.
 */
export const weightNames = {
  embed: "embed",
  finalNorm: "finalNorm",
  head: "head",
  layer: (i: number, name: LayerWeight): string => `layers.${i}.${name}`,
} as const;

export type LayerWeight =
  | "attnNorm"
  | "qkv"
  | "qkvBias"
  | "o"
  | "oBias"
  | "mlpNorm"
  | "gateUp"
  | "gateUpBias"
  | "down"
  | "downBias";

/** Plain data: crosses to worker threads by structured clone, the block itself is shared and not copied. */
export interface WeightImage {
  readonly bytes: SharedArrayBuffer;
  /** Keyed by our names, see `weightNames`. */
  readonly places: Readonly<Record<string, WeightPlace>>;
}

/** The weight called `name`, or undefined where the model has none (biases, an untied head). */
export function weightOf(image: WeightImage, name: string): HostTensor | undefined {
  const place = image.places[name];
  if (place === undefined) return undefined;
  const { dtype, shape, offset, byteLength } = place;
  return { dtype, shape, bytes: new Uint8Array(image.bytes, offset, byteLength) };
}

/** Numbers in the base; a tied head counts once, as in PyTorch. */
export function parameterCount(config: ModelConfig): number {
  const { vocabSize, hiddenSize: D, intermediateSize: F, layers, heads, kvHeads, headDim } = config;
  const [Q, X] = [heads * headDim, (heads + 2 * kvHeads) * headDim];
  const biases = (config.attentionBias ? X + D : 0) + (config.mlpBias ? 2 * F + D : 0);
  const layer = X * D + Q * D + 3 * F * D + 2 * D + biases;
  return vocabSize * D * (config.tiedEmbeddings ? 1 : 2) + layers * layer + D;
}
