/**
 * Trained vectors beside a frozen linear map (LLaMA-Adapter V2, arXiv:2304.15010), by set: token t has those of set s = rowOf[t], and
 * a token of set -1 keeps its numbers.
 *
 *   y[t] = scale[s] · (u[t] + bias[s]) (+ residual[t])
 *   du[t] = scale[s] · dy[t]        dscale[s] = Σ_t dy[t] · (u[t] + bias[s])        dbias[s] = Σ_t du[t]
 *
 * Sums run over the tokens of a set alone, ascending, in float64, rounded once.
 */
import { checkLengths } from "../shape.ts";

type Size = { T: number; N: number; S: number };

export function scaleShiftForward(
  out: { y_TN: Float32Array },
  input: {
    u_TN: Float32Array;
    scale_SN: Float32Array;
    bias_SN: Float32Array;
    residual_TN?: Float32Array | undefined;
    rowOf_T: Int32Array;
  },
  { T, N, S }: Size,
): void {
  const { y_TN } = out;
  const { u_TN, scale_SN, bias_SN, residual_TN, rowOf_T } = input;
  checkLengths({ u_TN, y_TN, ...(residual_TN && { residual_TN }) }, { T, N });
  checkLengths({ scale_SN, bias_SN }, { S, N });
  checkLengths({ rowOf_T }, { T });
  for (let t = 0, i = 0; t < T; t++) {
    const own = rowOf_T[t] * N;
    for (let n = 0; n < N; n++, i++) {
      // In the steps that every engine takes: each is rounded.
      const y = own < 0 ? u_TN[i] : Math.fround(scale_SN[own + n] * Math.fround(u_TN[i] + bias_SN[own + n]));
      y_TN[i] = residual_TN ? y + residual_TN[i] : y;
    }
  }
}

export function scaleShiftBackward(
  grad: { du_TN: Float32Array; dscale_SN: Float32Array; dbias_SN: Float32Array },
  input: {
    dy_TN: Float32Array;
    u_TN: Float32Array;
    scale_SN: Float32Array;
    bias_SN: Float32Array;
    rowOf_T: Int32Array;
  },
  { T, N, S }: Size,
): void {
  const { du_TN, dscale_SN, dbias_SN } = grad;
  const { dy_TN, u_TN, scale_SN, bias_SN, rowOf_T } = input;
  checkLengths({ du_TN, dy_TN, u_TN }, { T, N });
  checkLengths({ scale_SN, bias_SN, dscale_SN, dbias_SN }, { S, N });
  checkLengths({ rowOf_T }, { T });
  const [scales_SN, biases_SN] = [new Float64Array(S * N), new Float64Array(S * N)];
  for (let t = 0, i = 0; t < T; t++) {
    const own = rowOf_T[t] * N;
    for (let n = 0; n < N; n++, i++) {
      if (own < 0) {
        du_TN[i] = dy_TN[i];
        continue;
      }
      du_TN[i] = scale_SN[own + n] * dy_TN[i];
      scales_SN[own + n] += dy_TN[i] * (u_TN[i] + bias_SN[own + n]);
      biases_SN[own + n] += scale_SN[own + n] * dy_TN[i];
    }
  }
  dscale_SN.set(scales_SN);
  dbias_SN.set(biases_SN);
}
