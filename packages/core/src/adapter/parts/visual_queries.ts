/**
 * What the visual-query transformer makes of an image (LLaMA-Adapter V2, multimodal; spec of images §4): K queries, which see the
 * tokens of a tower and become vectors that are added to the K prompts of every adapted layer.
 *
 *   F = LN(tokens·W_cᵀ + b_c)      X = blocks([queries; F])      q = LN(X[0 … K−1]·W_pᵀ + b_p)      P_{l,s} = P_l + q_s
 *
 * On the host and in float64: the same bits on every engine, at the price of its speed (docs/images.md). Several images are
 * their tokens one after another. M tokens · C numbers each · E width · D hidden size of the base.
 */

import type { ImageInput, ImageQueries } from "../../cell/tokens.ts";
import { plainWide, type WideArithmetic } from "../../kernels/wide_linear.ts";
import { type SavedWideNorm, wideNorm, wideNormBackward } from "../../kernels/wide_norm.ts";
import type { AdapterState } from "../kinds/kind.ts";
import type { QueryShape } from "../layout.ts";
import { partLength, partNumbers } from "../parameters.ts";
import { VISION_FILE } from "./projection.ts";
import { type SavedBlock, visualBlock, visualBlockBackward } from "./visual_block.ts";
import { type VisualTensors, visualTensors } from "./visual_tensors.ts";

interface Sizes {
  readonly M: number;
  readonly K: number;
  readonly D: number;
}

/** The pass of one image. */
interface Pass {
  readonly tokens_MC: Float64Array;
  readonly clipNorm: SavedWideNorm;
  readonly blocks: readonly SavedBlock[];
  readonly seen_KE: Float64Array;
  readonly outNorm: SavedWideNorm & { readonly y_TD: Float64Array };
}

/** Returns the queries `[K, D]` of the tokens `[M, C]` of an image, or of several. */
export function visualQueries(
  adapter: AdapterState,
  vision: QueryShape,
  tokens_MC: Float32Array,
  wide: WideArithmetic = plainWide,
): Float32Array {
  const tensors = visualTensors(vision.blocks, (name) => numbersOf(adapter, adapter.params, name));
  const sizes = sizesOf(adapter, vision, tokens_MC);
  return new Float32Array(run(tensors, vision, tokens_MC, sizes, wide).outNorm.y_TD);
}

/**
 * Returns the queries of an image, which adapters take in place of its tokens (`ImageInput`): for as long as what makes them is not
 * trained, they are made once. Throws a RangeError for an adapter without a visual-query transformer.
 *
 * @param wide linear maps in float64, as fast as an engine has them; all have the same bits. @default core's own
 */
export function imageQueries(adapter: AdapterState, image: ImageInput, wide: WideArithmetic = plainWide): ImageQueries {
  const { vision } = adapter.layout.shape;
  if (vision?.fusion !== "query") throw new RangeError("Cannot make queries: the adapter was made without them");
  return "queries" in image ? image : { queries: visualQueries(adapter, vision, image, wide) };
}

/** Sets the gradient of the transformer's tensors, summed over images; their passes are computed again, one after another. */
export function visualQueriesBackward(
  adapter: AdapterState,
  vision: QueryShape,
  images: readonly { readonly tokens_MC: Float32Array; readonly dqueries_KD: Float64Array }[],
  gradient: Float32Array,
  wide: WideArithmetic = plainWide,
): void {
  if (images.length === 0) return; // an adapter whose queries come ready-made may have no transformer
  const tensors = visualTensors(vision.blocks, (name) => numbersOf(adapter, adapter.params, name));
  const parts = adapter.layout.table.filter(({ file }) => file === VISION_FILE);
  const byName = new Map(parts.map((part) => [part.name, new Float64Array(partLength(part))]));
  const sums = visualTensors(vision.blocks, (name) => byName.get(name) ?? new Float64Array(0));
  for (const { tokens_MC, dqueries_KD } of images) {
    const sizes = sizesOf(adapter, vision, tokens_MC);
    const pass = run(tensors, vision, tokens_MC, sizes, wide);
    runBackward(sums, { tensors, pass, dqueries_KD }, vision, sizes, wide);
  }
  for (const part of parts) partNumbers(part, gradient).set(byName.get(part.name) ?? []);
}

function numbersOf({ layout }: AdapterState, vector: Float32Array, name: string): Float32Array {
  const part = layout.table.find((own) => own.name === name);
  if (!part) throw new RangeError(`Cannot see images: the adapter has no ${name}`);
  return partNumbers(part, vector);
}

function sizesOf({ layout }: AdapterState, { featureSize: C }: QueryShape, tokens_MC: Float32Array): Sizes {
  const M = tokens_MC.length / C;
  if (!(Number.isInteger(M) && M > 0)) {
    throw new RangeError(`Cannot see an image of ${tokens_MC.length} numbers: tokens of ${C} numbers each are needed`);
  }
  return { M, K: layout.shape.promptLength, D: layout.base.hiddenSize };
}

/** Rows of block b: the last one has the queries alone. */
const blockSize = (
  { embedSize: E, mlpSize: F, heads, blocks, blockEps: eps }: QueryShape,
  { M, K }: Sizes,
  b: number,
) => {
  return { T: K + M, R: b === blocks - 1 ? K : K + M, E, F, heads, eps };
};

function run(
  tensors: VisualTensors,
  vision: QueryShape,
  tokens: Float32Array,
  sizes: Sizes,
  wide: WideArithmetic,
): Pass {
  const { wideLinear } = wide;
  const { featureSize: C, embedSize: E, normEps: eps } = vision;
  const { M, K, D } = sizes;
  const tokens_MC = new Float64Array(tokens);
  const clipped_ME = wideLinear(tokens_MC, tensors.clip, { T: M, N: E, K: C });
  const { y_TD: F_ME, ...clipNorm } = wideNorm(clipped_ME, tensors.clipNorm, { T: M, D: E, eps });
  let x: Float64Array = new Float64Array((K + M) * E);
  x.set(tensors.query_KE);
  x.set(F_ME, K * E);
  const blocks = tensors.blocks.map((block, b) => {
    const { y_RE, saved } = visualBlock(x, block, blockSize(vision, sizes, b), wide);
    x = y_RE;
    return saved;
  });
  const out_KD = wideLinear(x, tensors.out, { T: K, N: D, K: E });
  const outNorm = wideNorm(out_KD, tensors.outNorm, { T: K, D, eps });
  return { tokens_MC, clipNorm, blocks, seen_KE: x, outNorm };
}

function runBackward(
  sums: VisualTensors<Float64Array>,
  { tensors, pass, dqueries_KD }: { tensors: VisualTensors; pass: Pass; dqueries_KD: Float64Array },
  vision: QueryShape,
  sizes: Sizes,
  wide: WideArithmetic,
): void {
  const { wideLinearBackward } = wide;
  const { featureSize: C, embedSize: E } = vision;
  const { M, K, D } = sizes;
  const norm = { dy_TD: dqueries_KD, saved: pass.outNorm, weight: tensors.outNorm.weight };
  const dout_KD = wideNormBackward(sums.outNorm, norm, { T: K, D });
  const out = { dy_TN: dout_KD, x_TK: pass.seen_KE, weight: tensors.out.weight };
  let dx = wideLinearBackward(sums.out, out, { T: K, N: D, K: E });
  for (let b = vision.blocks - 1; b >= 0; b--) {
    const own = { dy_RE: dx, block: tensors.blocks[b], saved: pass.blocks[b] };
    dx = visualBlockBackward(sums.blocks[b], own, blockSize(vision, sizes, b), wide);
  }
  for (let i = 0; i < K * E; i++) sums.query_KE[i] += dx[i];
  const dF = { dy_TD: dx.subarray(K * E), saved: pass.clipNorm, weight: tensors.clipNorm.weight };
  const dclipped_ME = wideNormBackward(sums.clipNorm, dF, { T: M, D: E });
  const clip = { dy_TN: dclipped_ME, x_TK: pass.tokens_MC, weight: tensors.clip.weight };
  wideLinearBackward(sums.clip, clip, { T: M, N: E, K: C });
}
