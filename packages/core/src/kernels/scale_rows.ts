/**
 * Rows, each times a factor of its own:  y[t, d] = factor[t] · x[t, d].
 *
 *   dx[t, d] = factor[t] · dy[t, d]        dfactor[t] = Σ_d dy[t, d] · x[t, d]
 */
import { checkLengths } from "../shape.ts";

type Size = { T: number; D: number };

export function scaleRowsForward(
  out: { y_TD: Float32Array },
  { x_TD, factor_T }: { x_TD: Float32Array; factor_T: Float32Array },
  { T, D }: Size,
): void {
  checkLengths({ x_TD, y_TD: out.y_TD }, { T, D });
  checkLengths({ factor_T }, { T });
  for (let i = 0; i < T * D; i++) out.y_TD[i] = factor_T[Math.floor(i / D)] * x_TD[i];
}

export function scaleRowsBackward(
  grad: { dx_TD: Float32Array; dfactor_T: Float32Array },
  { dy_TD, x_TD, factor_T }: { dy_TD: Float32Array; x_TD: Float32Array; factor_T: Float32Array },
  { T, D }: Size,
): void {
  const { dx_TD, dfactor_T } = grad;
  checkLengths({ dx_TD, dy_TD, x_TD }, { T, D });
  checkLengths({ factor_T, dfactor_T }, { T });
  for (let t = 0; t < T; t++) {
    let sum = 0;
    for (let i = t * D; i < (t + 1) * D; i++) {
      dx_TD[i] = factor_T[t] * dy_TD[i];
      sum += dy_TD[i] * x_TD[i];
    }
    dfactor_T[t] = sum;
  }
}
