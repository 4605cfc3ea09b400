/**
 * RMSNorm whose weights are trained, by set: token t has those of set s = rowOf[t].
 *
 *   rstd[t] = 1 / √(mean(x[t]²) + eps)        y[t] = x[t] · rstd[t] · weight[s]
 *   dweight[s] = Σ_t dy[t] · x[t] · rstd[t]        dx as that of a frozen norm with these weights
 *
 * A row is computed as by a frozen norm: with equal weights it has equal bits. Sums over tokens run over those of a set alone,
 * ascending, in float64, rounded once.
 */
import { checkLengths } from "../shape.ts";
import { rmsNormBackward, rmsNormForward } from "./rmsnorm.ts";

type Size = { T: number; D: number; S: number };

export function rmsNormBySetForward(
  out: { y_TD: Float32Array; rstd_T: Float32Array },
  { x_TD, weight_SD, rowOf_T }: { x_TD: Float32Array; weight_SD: Float32Array; rowOf_T: Int32Array },
  { T, D, S, eps }: Size & { eps: number },
): void {
  const { y_TD, rstd_T } = out;
  checkLengths({ x_TD, y_TD }, { T, D });
  checkLengths({ rstd_T, rowOf_T }, { T });
  checkLengths({ weight_SD }, { S, D });
  for (const { from, to, weight_D } of runsOf(rowOf_T, weight_SD, D)) {
    const own = { y_TD: y_TD.subarray(from * D, to * D), rstd_T: rstd_T.subarray(from, to) };
    rmsNormForward(own, { x_TD: x_TD.subarray(from * D, to * D), weight_D }, { T: to - from, D, eps });
  }
}

export function rmsNormBySetBackward(
  { dx_TD }: { dx_TD: Float32Array },
  input: {
    dy_TD: Float32Array;
    x_TD: Float32Array;
    weight_SD: Float32Array;
    rstd_T: Float32Array;
    residual_TD?: Float32Array | undefined;
    rowOf_T: Int32Array;
  },
  { T, D, S }: Size,
): void {
  const { dy_TD, x_TD, weight_SD, rstd_T, residual_TD, rowOf_T } = input;
  checkLengths({ dx_TD, dy_TD, x_TD, ...(residual_TD && { residual_TD }) }, { T, D });
  checkLengths({ rstd_T, rowOf_T }, { T });
  checkLengths({ weight_SD }, { S, D });
  for (const { from, to, weight_D } of runsOf(rowOf_T, weight_SD, D)) {
    const rows = (array: Float32Array) => array.subarray(from * D, to * D);
    rmsNormBackward(
      { dx_TD: rows(dx_TD) },
      {
        dy_TD: rows(dy_TD),
        x_TD: rows(x_TD),
        weight_D,
        rstd_T: rstd_T.subarray(from, to),
        residual_TD: residual_TD && rows(residual_TD),
      },
      { T: to - from, D },
    );
  }
}

export function rmsNormWeightBackward(
  { dweight_SD }: { dweight_SD: Float32Array },
  input: { dy_TD: Float32Array; x_TD: Float32Array; rstd_T: Float32Array; rowOf_T: Int32Array },
  { T, D, S }: Size,
): void {
  const { dy_TD, x_TD, rstd_T, rowOf_T } = input;
  checkLengths({ dy_TD, x_TD }, { T, D });
  checkLengths({ rstd_T, rowOf_T }, { T });
  checkLengths({ dweight_SD }, { S, D });
  const sums_SD = new Float64Array(S * D);
  for (let t = 0, i = 0; t < T; t++)
    for (let d = 0; d < D; d++, i++) if (rowOf_T[t] >= 0) sums_SD[rowOf_T[t] * D + d] += dy_TD[i] * x_TD[i] * rstd_T[t];
  dweight_SD.set(sums_SD);
}

/** Neighbours of one set, each with its weights. */
function runsOf(rowOf_T: Int32Array, weight_SD: Float32Array, D: number) {
  const runs: { from: number; to: number; weight_D: Float32Array }[] = [];
  for (let from = 0, to = 0; from < rowOf_T.length; from = to) {
    while (to < rowOf_T.length && rowOf_T[to] === rowOf_T[from]) to++;
    const s = rowOf_T[from];
    runs.push({ from, to, weight_D: weight_SD.subarray(s * D, (s + 1) * D) });
  }
  return runs;
}
