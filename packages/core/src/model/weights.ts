/**
 * The frozen base in memory: one block of bytes (shared between threads) and where each weight lies in it.
 * Merged weights (QKV, gate·up) are contiguous in the block, so an engine sees each as one matrix.
 */
import type { DType, HostTensor } from "../engine/engine.ts";

/** Where one weight lies inside the block; `offset` is a multiple of 64 bytes. */
export interface WeightPlace {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly byteLength: number;
}

/**
 * Our names of the weights. A model without biases lacks those names, one with rotary positions lacks `positions`; a tied
 * head is `embed`. `qkv` stacks the rows of q_proj, k_proj, v_proj; `gateUp` those of gate_proj, up_proj, of which an MLP
 * without a gate has the latter alone.
 */
export const weightNames = {
  embed: "embed",
  positions: "positions",
  finalNorm: "finalNorm",
  finalNormBias: "finalNormBias",
  head: "head",
  layer: (i: number, name: LayerWeight): string => `layers.${i}.${name}`,
} as const;

export type LayerWeight =
  | "attnNorm"
  | "attnNormBias"
  | "qkv"
  | "qkvBias"
  | "o"
  | "oBias"
  | "mlpNorm"
  | "mlpNormBias"
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
