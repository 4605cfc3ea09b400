/** The norm of a layer, whichever kind the model has: RMSNorm, or LayerNorm if there is a bias. */
import type { DeviceArray, Engine, Matrix } from "../engine/engine.ts";
import type { TunedNorm } from "./tuned.ts";

export interface Norm {
  readonly weight: Matrix;
  readonly bias: Matrix | undefined;
  readonly eps: number;
}

/** `stats` is what backward needs. With `tuned`, each token has the weights of its adapter. */
export function normForward(
  engine: Engine,
  x_TD: DeviceArray,
  { weight, bias, eps }: Norm,
  size: { T: number; D: number },
  tuned?: TunedNorm,
): { y_TD: DeviceArray; stats: DeviceArray } {
  if (tuned) {
    const { weight_SD, rowOf_T, S } = tuned;
    const { y_TD, rstd_T } = engine.rmsNormBySet(x_TD, weight_SD, rowOf_T, { ...size, S, eps });
    return { y_TD, stats: rstd_T };
  }
  if (bias) {
    const { y_TD, stats_T2 } = engine.layerNorm(x_TD, { weight_D: weight, bias_D: bias }, { ...size, eps });
    return { y_TD, stats: stats_T2 };
  }
  const { y_TD, rstd_T } = engine.rmsNorm(x_TD, weight, { ...size, eps });
  return { y_TD, stats: rstd_T };
}

/** dx, plus `residual_TD` if given. */
export function normBackward(
  engine: Engine,
  input: { dy_TD: DeviceArray; x_TD: DeviceArray; stats: DeviceArray; residual_TD?: DeviceArray },
  { weight: weight_D, bias }: Norm,
  size: { T: number; D: number },
  tuned?: TunedNorm,
): DeviceArray {
  const { stats, ...rest } = input;
  if (tuned) {
    const { weight_SD, rowOf_T, S } = tuned;
    return engine.rmsNormBySetBackward({ ...rest, weight_SD, rstd_T: stats }, rowOf_T, { ...size, S });
  }
  return bias
    ? engine.layerNormBackward({ ...rest, weight_D, stats_T2: stats }, size)
    : engine.rmsNormBackward({ ...rest, weight_D, rstd_T: stats }, size);
}

/** The gradient of a norm's trained weights, a row for each adapter of the pass. */
export function normWeightBackward(
  engine: Engine,
  { dy_TD, x_TD, stats }: { dy_TD: DeviceArray; x_TD: DeviceArray; stats: DeviceArray },
  { rowOf_T, S }: TunedNorm,
  size: { T: number; D: number },
): DeviceArray {
  return engine.rmsNormWeightBackward({ dy_TD, x_TD, rstd_T: stats }, rowOf_T, { ...size, S });
}
