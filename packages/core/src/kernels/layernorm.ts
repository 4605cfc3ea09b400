/**
 * LayerNorm over the last dimension (Ba et al. 2016, arXiv:1607.06450, eq. 3).
 *
 *   x̂ = (x − mean_D(x)) · rstd        rstd = 1 / sqrt(mean_D((x − mean)²) + eps)        y = x̂ · weight_D + bias_D
 *
 * Sums run in float64 and round to float32 once, on store. Weight and bias are frozen: no gradient for them.
 */
import { checkLengths } from "../shape.ts";

/** Writes `y_TD` and, for backward, mean and rstd of each token to `stats_T2`. */
export function layerNormForward(
  out: { y_TD: Float32Array; stats_T2: Float32Array },
  input: { x_TD: Float32Array; weight_D: Float32Array; bias_D: Float32Array },
  { T, D, eps }: { T: number; D: number; eps: number },
): void {
  const { y_TD, stats_T2 } = out;
  const { x_TD, weight_D, bias_D } = input;
  checkLengths({ x_TD, y_TD }, { T, D });
  checkLengths({ stats_T2 }, { T, pair: 2 });
  checkLengths({ weight_D, bias_D }, { D });
  for (let t = 0; t < T; t++) {
    const row = t * D;
    let mean = 0;
    for (let d = 0; d < D; d++) mean += x_TD[row + d];
    mean /= D;
    let variance = 0;
    for (let d = 0; d < D; d++) variance += (x_TD[row + d] - mean) ** 2;
    const rstd = 1 / Math.sqrt(variance / D + eps);
    for (let d = 0; d < D; d++) y_TD[row + d] = (x_TD[row + d] - mean) * rstd * weight_D[d] + bias_D[d];
    stats_T2[2 * t] = mean;
    stats_T2[2 * t + 1] = rstd;
  }
}

/** With g = dy·weight:  dx = rstd · (g − mean_D(g) − x̂ · mean_D(g·x̂)) (+ residual). */
export function layerNormBackward(
  grad: { dx_TD: Float32Array },
  input: {
    dy_TD: Float32Array;
    x_TD: Float32Array;
    weight_D: Float32Array;
    stats_T2: Float32Array;
    residual_TD?: Float32Array | undefined;
  },
  { T, D }: { T: number; D: number },
): void {
  const { dx_TD } = grad;
  const { dy_TD, x_TD, weight_D, stats_T2, residual_TD } = input;
  checkLengths({ dx_TD, dy_TD, x_TD, ...(residual_TD && { residual_TD }) }, { T, D });
  checkLengths({ stats_T2 }, { T, pair: 2 });
  checkLengths({ weight_D }, { D });
  for (let t = 0; t < T; t++) {
    const row = t * D;
    const mean = stats_T2[2 * t];
    const rstd = stats_T2[2 * t + 1];
    let meanG = 0;
    let meanDot = 0;
    for (let d = 0; d < D; d++) {
      const g = dy_TD[row + d] * weight_D[d];
      meanG += g;
      meanDot += g * (x_TD[row + d] - mean);
    }
    meanG /= D;
    meanDot *= rstd / D;
    for (let d = 0; d < D; d++) {
      const xHat = (x_TD[row + d] - mean) * rstd;
      const dx = rstd * (dy_TD[row + d] * weight_D[d] - meanG - xHat * meanDot);
      dx_TD[row + d] = residual_TD ? dx + residual_TD[row + d] : dx;
    }
  }
}
