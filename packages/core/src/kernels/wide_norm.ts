/**
 * LayerNorm over float64 activations with trained float32 weights (arXiv:1607.06450, eq. 3).
 *
 *   x̂ = (x − mean_D(x))·rstd,   y = x̂ ∘ γ + β
 *   dγ += Σ_T dy ∘ x̂,   dβ += Σ_T dy,   dx = rstd·(g − mean_D(g) − x̂·mean_D(g ∘ x̂))  with  g = dy ∘ γ
 */
import { checkLengths } from "../shape.ts";
import type { WideMap } from "./wide_linear.ts";

/** What backward needs: x̂, and the reciprocal deviation of each row. */
export interface SavedWideNorm {
  readonly xHat_TD: Float64Array;
  readonly rstd_T: Float64Array;
}

type Size = { readonly T: number; readonly D: number };

export function wideNorm(
  x_TD: Float64Array,
  { weight: weight_D, bias: bias_D }: WideMap,
  { T, D, eps }: Size & { readonly eps: number },
): SavedWideNorm & { readonly y_TD: Float64Array } {
  checkLengths({ x_TD }, { T, D });
  checkLengths({ weight_D, bias_D }, { D });
  const [y_TD, xHat_TD, rstd_T] = [new Float64Array(T * D), new Float64Array(T * D), new Float64Array(T)];
  for (let t = 0; t < T; t++) {
    const row = t * D;
    let mean = 0;
    for (let d = 0; d < D; d++) mean += x_TD[row + d];
    mean /= D;
    let variance = 0;
    for (let d = 0; d < D; d++) variance += (x_TD[row + d] - mean) ** 2;
    const rstd = 1 / Math.sqrt(variance / D + eps);
    rstd_T[t] = rstd;
    for (let d = 0; d < D; d++) {
      const xHat = (x_TD[row + d] - mean) * rstd;
      xHat_TD[row + d] = xHat;
      y_TD[row + d] = xHat * weight_D[d] + bias_D[d];
    }
  }
  return { y_TD, xHat_TD, rstd_T };
}

/** Returns `dx_TD`, and adds the gradients of weight and bias to `sums`. */
export function wideNormBackward(
  { weight: dweight_D, bias: dbias_D }: WideMap<Float64Array>,
  {
    dy_TD,
    saved: { xHat_TD, rstd_T },
    weight: weight_D,
  }: { dy_TD: Float64Array; saved: SavedWideNorm; weight: Float32Array },
  { T, D }: Size,
): Float64Array {
  checkLengths({ dy_TD, xHat_TD }, { T, D });
  checkLengths({ weight_D, dweight_D, dbias_D }, { D });
  const dx_TD = new Float64Array(T * D);
  for (let t = 0; t < T; t++) {
    const row = t * D;
    let [mean, meanDot] = [0, 0];
    for (let d = 0; d < D; d++) {
      const [dy, xHat] = [dy_TD[row + d], xHat_TD[row + d]];
      dweight_D[d] += dy * xHat;
      dbias_D[d] += dy;
      mean += dy * weight_D[d];
      meanDot += dy * weight_D[d] * xHat;
    }
    mean /= D;
    meanDot /= D;
    for (let d = 0; d < D; d++) {
      dx_TD[row + d] = rstd_T[t] * (dy_TD[row + d] * weight_D[d] - mean - xHat_TD[row + d] * meanDot);
    }
  }
  return dx_TD;
}
