/**
 * The frozen base in memory: one block of bytes (over a SharedArrayBuffer threads share it) and where each weight lies in it, or in its file.
 * Merged weights (QKV, gate·up) are contiguous, so an engine sees each as one matrix.
 */
import type { Engine, HostTensor, Matrix, WeightDType } from "../engine/engine.ts";
import { isScaled } from "../formats/scaled.ts";

/** Where one weight lies: at `offset` in the block, a multiple of 64 bytes, or at `offset` in the file `path`. */
export interface WeightPlace {
  readonly dtype: WeightDType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly byteLength: number;
  /** File that the numbers were left in. @default none: they are in memory */
  readonly path?: string;
}

/**
 * Our names of the weights. A model without biases lacks those names, one with rotary positions lacks `positions`; a tied
 * head is `embed`. `qkv` stacks the rows of q_proj (queries, then gates if outputs have some), k_proj, v_proj, or what a delta net
 * projects, z behind it; `gateUp` those of gate_proj, up_proj; an MLP
 * without a gate has the latter alone, and one of experts those of all, one below the other, and a `router`.
 */
export const weightNames = {
  embed: "embed",
  positions: "positions",
  finalNorm: "finalNorm",
  finalNormBias: "finalNormBias",
  head: "head",
  /** Name of a layer's weight. */
  layer: (i: number, name: LayerWeight): string => `layers.${i}.${name}`,
} as const;

/** A weight of a layer, by our name. */
export type LayerWeight =
  | "attnNorm"
  | "attnNormBias"
  | "attnOutNorm"
  | "qkv"
  | "qNorm"
  | "kNorm"
  | "qkvBias"
  | "o"
  | "oBias"
  | "mlpNorm"
  | "mlpNormBias"
  | "mlpOutNorm"
  | "deltaGates"
  | "deltaConv"
  | "deltaRate"
  | "deltaBias"
  | "deltaNorm"
  | "router"
  | "gateUp"
  | "gateUpBias"
  | "down"
  | "downBias";

/**
 * Whether the weight of ours is one that a `storage` with scales quantises. Embeddings, head, norms and biases never are: they are a
 * small part of a large base, and the head's error is that of the logits itself (a tied head is the embedding).
 */
export function isLinearMap(name: string): boolean {
  return /\.(qkv|o|gateUp|down)$/.test(name);
}

/** Plain data: crosses to worker threads by structured clone. Over a SharedArrayBuffer the block itself is not copied. */
export interface WeightImage {
  readonly bytes: ArrayBufferLike;
  /** Keyed by our names, see `weightNames`. */
  readonly places: Readonly<Record<string, WeightPlace>>;
}

/**
 * The weight called `name`, or undefined if the model has none (biases, an untied head). Throws a `RangeError` if it
 * was left in its file.
 */
export function weightOf(image: WeightImage, name: string): HostTensor | undefined {
  const place = image.places[name];
  if (place === undefined) return undefined;
  const { dtype, shape, offset, byteLength, path } = place;
  if (path !== undefined) throw new RangeError(`Cannot read ${name}: it was left in ${path}, load without mapFiles`);
  return { dtype, shape, bytes: new Uint8Array(image.bytes, offset, byteLength) };
}

/** The same on an engine. Throws a `RangeError` if it lies in a file and the engine does not map files. */
export function matrixOf(engine: Engine, image: WeightImage, name: string): Matrix | undefined {
  const place = image.places[name];
  if (place?.path !== undefined && !isScaled(place.dtype) && engine.mapped) {
    return engine.mapped({ ...place, dtype: place.dtype, path: place.path });
  }
  const tensor = weightOf(image, name);
  return tensor && engine.matrix(tensor);
}

/** Bytes of all weights, wherever they lie. */
export function imageBytes({ places }: Pick<WeightImage, "places">): number {
  return Object.values(places).reduce((sum, { byteLength }) => sum + byteLength, 0);
}
