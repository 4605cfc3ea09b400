/**
 * The tensors of the visual-query transformer, which is trained for images (spec of images §4), under the names of the released
 * LLaMA-Adapter V2 checkpoints:
 *
 *   visual_query [K, E]      clip_proj [E, C], clip_proj_norm [E]      visual_proj [D, E], visual_proj_norm [D]
 *   visual_blocks.b: norm1 [E], attn.qkv [3E, E], attn.proj [E, E], norm2 [E], mlp.fc1 [F, E], mlp.fc2 [E, F]
 */
import type { WideMap } from "../../kernels/wide_linear.ts";
import { ADDEND_LIMIT } from "../../sum/fixed_point.ts";
import type { AdaptedBase, QueryShape } from "../layout.ts";
import type { PartInit, TrainedPart } from "../parameters.ts";
import { VISION_FILE } from "./projection.ts";

/** Weights start as N(0, 1/inputs), queries as N(0, 1), norms as ones, biases as zeros; a stream of random numbers for each. */
export function visualParts(
  { featureSize: C, embedSize: E, blocks, mlpSize: F }: QueryShape,
  { layers, hiddenSize: D }: Pick<AdaptedBase, "layers" | "hiddenSize">,
  K: number,
): Omit<TrainedPart, "offset">[] {
  let stream = layers; // those below belong to the layers' prompts
  const part = (name: string, shape: readonly number[], init: PartInit): Omit<TrainedPart, "offset"> => ({
    name,
    part: "visual",
    layer: undefined,
    shape,
    init,
    decays: shape.length > 1 ? ["all", "original"] : ["all"],
    learningRateFactor: 1,
    group: 0,
    gradientLimit: ADDEND_LIMIT,
    file: VISION_FILE,
    fileName: name,
  });
  const map = (name: string, outputs: number, inputs: number) => [
    part(`${name}.weight`, [outputs, inputs], { normal: 1 / Math.sqrt(inputs), stream: stream++ }),
    part(`${name}.bias`, [outputs], "zeros"),
  ];
  const norm = (name: string, width: number) => [
    part(`${name}.weight`, [width], "ones"),
    part(`${name}.bias`, [width], "zeros"),
  ];
  return [
    part("visual_query.weight", [K, E], { normal: 1, stream: stream++ }),
    ...map("clip_proj", E, C),
    ...norm("clip_proj_norm", E),
    ...Array.from({ length: blocks }, (_, b) => `visual_blocks.${b}`).flatMap((block) => [
      ...norm(`${block}.norm1`, E),
      ...map(`${block}.attn.qkv`, 3 * E, E),
      ...map(`${block}.attn.proj`, E, E),
      ...norm(`${block}.norm2`, E),
      ...map(`${block}.mlp.fc1`, F, E),
      ...map(`${block}.mlp.fc2`, E, F),
    ]),
    ...map("visual_proj", D, E),
    ...norm("visual_proj_norm", D),
  ];
}

/** Numbers of the transformer, or of `Float64Array` sums of their gradients. */
export interface VisualTensors<Numbers extends Float32Array | Float64Array = Float32Array> {
  readonly query_KE: Numbers;
  readonly clip: WideMap<Numbers>;
  readonly clipNorm: WideMap<Numbers>;
  readonly blocks: readonly VisualBlock<Numbers>[];
  readonly out: WideMap<Numbers>;
  readonly outNorm: WideMap<Numbers>;
}

/** One of its blocks. */
export interface VisualBlock<Numbers extends Float32Array | Float64Array = Float32Array> {
  readonly norm1: WideMap<Numbers>;
  readonly qkv: WideMap<Numbers>;
  readonly proj: WideMap<Numbers>;
  readonly norm2: WideMap<Numbers>;
  readonly fc1: WideMap<Numbers>;
  readonly fc2: WideMap<Numbers>;
}

/** Puts the tensors together. @param read returns the numbers of a tensor by its name. */
export function visualTensors<Numbers extends Float32Array | Float64Array>(
  blocks: number,
  read: (name: string) => Numbers,
): VisualTensors<Numbers> {
  const pair = (name: string): WideMap<Numbers> => ({ weight: read(`${name}.weight`), bias: read(`${name}.bias`) });
  return {
    query_KE: read("visual_query.weight"),
    clip: pair("clip_proj"),
    clipNorm: pair("clip_proj_norm"),
    blocks: Array.from({ length: blocks }, (_, b) => ({
      norm1: pair(`visual_blocks.${b}.norm1`),
      qkv: pair(`visual_blocks.${b}.attn.qkv`),
      proj: pair(`visual_blocks.${b}.attn.proj`),
      norm2: pair(`visual_blocks.${b}.norm2`),
      fc1: pair(`visual_blocks.${b}.mlp.fc1`),
      fc2: pair(`visual_blocks.${b}.mlp.fc2`),
    })),
    out: pair("visual_proj"),
    outNorm: pair("visual_proj_norm"),
  };
}
