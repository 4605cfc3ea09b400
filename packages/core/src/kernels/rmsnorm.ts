/**
 * RMSNorm over the last dimension (Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4).
 *
 *   rstd_T = 1 / sqrt(mean_D(x_TD²) + eps)        y_TD = x_TD · rstd_T · weight_D
 *
 * Sums run in float64 (plain JS numbers) and round to float32 once, on store. The weight is frozen: no gradient for it.
 */
import { checkLengths } from "../shape.ts";

/** Writes `y_TD` and saves `rstd_T` for backward. `eps` is added to the mean square; LLaMA 1 uses 1e-6, LLaMA 2 1e-5. */
export function rmsNormForward(
  out: { y_TD: Float32Array; rstd_T: Float32Array },
  input: { x_TD: Float32Array; weight_D: Float32Array },
  { T, D, eps }: { T: number; D: number; eps: number },
): void {
  const { y_TD, rstd_T } = out;
  const { x_TD, weight_D } = input;
  checkLengths({ x_TD, y_TD }, { T, D });
  checkLengths({ rstd_T }, { T });
  checkLengths({ weight_D }, { D });
  for (let t = 0; t < T; t++) {
    const row = t * D;
    let sumSquares = 0;
    for (let d = 0; d < D; d++) sumSquares += x_TD[row + d] * x_TD[row + d];
    const rstd = 1 / Math.sqrt(sumSquares / D + eps);
    for (let d = 0; d < D; d++) y_TD[row + d] = x_TD[row + d] * rstd * weight_D[d];
    rstd_T[t] = rstd;
  }
}

/** With x̂ = x·rstd and g = dy·weight:  dx = rstd · (g − x̂ · mean_D(g·x̂)) (+ residual). */
export function rmsNormBackward(
  grad: { dx_TD: Float32Array },
  input: {
    dy_TD: Float32Array;
    x_TD: Float32Array;
    weight_D: Float32Array;
    rstd_T: Float32Array;
    residual_TD?: Float32Array | undefined;
  },
  { T, D }: { T: number; D: number },
): void {
  const { dx_TD } = grad;
  const { dy_TD, x_TD, weight_D, rstd_T, residual_TD } = input;
  checkLengths({ dx_TD, dy_TD, x_TD, ...(residual_TD && { residual_TD }) }, { T, D });
  checkLengths({ rstd_T }, { T });
  checkLengths({ weight_D }, { D });
  for (let t = 0; t < T; t++) {
    const row = t * D;
    const rstd = rstd_T[t];
    let meanDot = 0;
    for (let d = 0; d < D; d++) meanDot += dy_TD[row + d] * weight_D[d] * x_TD[row + d];
    meanDot *= rstd / D;
    for (let d = 0; d < D; d++) {
      const dx = rstd * (dy_TD[row + d] * weight_D[d] - x_TD[row + d] * rstd * meanDot);
      dx_TD[row + d] = residual_TD ? dx + residual_TD[row + d] : dx;
    }
  }
}
