/**
 * A block of the visual-query transformer, forward and backward, in float64: pre-norm, attention without mask, exact GELU.
 *
 *   x1 = x + proj(attn(qkv(LN x)))        y = x1 + fc2(gelu(fc1(LN x1)))
 *
 * Only the first R rows of T go on: the last block has the queries alone. E width · F units of its MLP.
 */
import { dgeluErf, geluErf } from "../../kernels/gelu.ts";
import { wideAttention, wideAttentionBackward } from "../../kernels/wide_attention.ts";
import type { WideArithmetic } from "../../kernels/wide_linear.ts";
import { type SavedWideNorm, wideNorm, wideNormBackward } from "../../kernels/wide_norm.ts";
import type { VisualBlock } from "./visual_tensors.ts";

/** Sizes of a block. */
export interface BlockSize {
  readonly T: number;
  readonly R: number;
  readonly E: number;
  readonly F: number;
  readonly heads: number;
  readonly eps: number;
}

/** What its backward needs. */
export interface SavedBlock {
  readonly norm1: SavedWideNorm & { readonly y_TD: Float64Array };
  readonly qkv_T3E: Float64Array;
  readonly o_RE: Float64Array;
  readonly norm2: SavedWideNorm & { readonly y_TD: Float64Array };
  readonly up_RF: Float64Array;
}

const sizesOf = ({ T, R, E, F, heads }: BlockSize) => ({
  qkv: { T, N: 3 * E, K: E },
  attention: { T, R, H: heads, d: E / heads },
  proj: { T: R, N: E, K: E },
  fc1: { T: R, N: F, K: E },
  fc2: { T: R, N: E, K: F },
});

/** Returns the first R rows, and what backward needs. */
export function visualBlock(
  x_TE: Float64Array,
  block: VisualBlock,
  size: BlockSize,
  { wideLinear }: WideArithmetic,
): { y_RE: Float64Array; saved: SavedBlock } {
  const { T, R, E, eps } = size;
  const sizes = sizesOf(size);
  const norm1 = wideNorm(x_TE, block.norm1, { T, D: E, eps });
  const qkv_T3E = wideLinear(norm1.y_TD, block.qkv, sizes.qkv);
  const o_RE = wideAttention(qkv_T3E, sizes.attention);
  const x1_RE = added(wideLinear(o_RE, block.proj, sizes.proj), x_TE);
  const norm2 = wideNorm(x1_RE, block.norm2, { T: R, D: E, eps });
  const up_RF = wideLinear(norm2.y_TD, block.fc1, sizes.fc1);
  const y_RE = added(wideLinear(up_RF.map(geluErf), block.fc2, sizes.fc2), x1_RE);
  return { y_RE, saved: { norm1, qkv_T3E, o_RE, norm2, up_RF } };
}

/** Returns `dx_TE`, and adds the gradients of the block's tensors to `sums`. */
export function visualBlockBackward(
  sums: VisualBlock<Float64Array>,
  { dy_RE, block, saved }: { dy_RE: Float64Array; block: VisualBlock; saved: SavedBlock },
  size: BlockSize,
  { wideLinearBackward }: WideArithmetic,
): Float64Array {
  const { T, R, E } = size;
  const { norm1, qkv_T3E, o_RE, norm2, up_RF } = saved;
  const sizes = sizesOf(size);
  const down = { dy_TN: dy_RE, x_TK: up_RF.map(geluErf), weight: block.fc2.weight };
  const dunit_RF = wideLinearBackward(sums.fc2, down, sizes.fc2);
  const dup_RF = dunit_RF.map((d, i) => d * dgeluErf(up_RF[i]));
  const up = { dy_TN: dup_RF, x_TK: norm2.y_TD, weight: block.fc1.weight };
  const dnorm2_RE = wideLinearBackward(sums.fc1, up, sizes.fc1);
  const into2 = { dy_TD: dnorm2_RE, saved: norm2, weight: block.norm2.weight };
  const dx1_RE = added(wideNormBackward(sums.norm2, into2, { T: R, D: E }), dy_RE);
  const out = { dy_TN: dx1_RE, x_TK: o_RE, weight: block.proj.weight };
  const do_RE = wideLinearBackward(sums.proj, out, sizes.proj);
  const dqkv_T3E = wideAttentionBackward({ do_RE, qkv_T3E }, sizes.attention);
  const qkv = { dy_TN: dqkv_T3E, x_TK: norm1.y_TD, weight: block.qkv.weight };
  const dnorm1_TE = wideLinearBackward(sums.qkv, qkv, sizes.qkv);
  const into1 = { dy_TD: dnorm1_TE, saved: norm1, weight: block.norm1.weight };
  const dx_TE = wideNormBackward(sums.norm1, into1, { T, D: E });
  for (let i = 0; i < R * E; i++) dx_TE[i] += dx1_RE[i];
  return dx_TE;
}

/** Adds the beginning of `x` to `y`. */
function added(y: Float64Array, x: Float64Array): Float64Array {
  for (let i = 0; i < y.length; i++) y[i] += x[i];
  return y;
}
