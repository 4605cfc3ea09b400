/**
 * What adapters that tune the base itself ask of an engine (LLaMA-Adapter V2, arXiv:2304.15010): trained vectors beside frozen maps and
 * trained weights of norms, by set, so that sequences packed together have their own.
 */
import type { DeviceArray } from "./arrays.ts";

/** Operations on trained vectors, one set of S for each token. */
export interface TuningOperations {
  /**
   * Trained vectors behind a frozen map: `y[t] = scale[s] · (u[t] + bias[s]) (+ residual[t])`, s = `rowOf[t]`; -1: u[t] keeps its bits.
   */
  scaleShift(
    u_TN: DeviceArray,
    vectors: { scale_SN: DeviceArray; bias_SN: DeviceArray; residual_TN?: DeviceArray | undefined },
    rowOf_T: Int32Array,
    size: { T: number; N: number; S: number },
  ): DeviceArray;
  /** Its gradients; those of vectors are sums over a set's own tokens, in one order whatever other tokens there are. */
  scaleShiftBackward(
    input: { dy_TN: DeviceArray; u_TN: DeviceArray; scale_SN: DeviceArray; bias_SN: DeviceArray },
    rowOf_T: Int32Array,
    size: { T: number; N: number; S: number },
  ): { du_TN: DeviceArray; dscale_SN: DeviceArray; dbias_SN: DeviceArray };

  /** RMSNorm with the weights of set `rowOf[t]`, one of S, for token t: the bits of `rmsNorm` with these. */
  rmsNormBySet(
    x_TD: DeviceArray,
    weight_SD: DeviceArray,
    rowOf_T: Int32Array,
    size: { T: number; D: number; S: number; eps: number },
  ): { y_TD: DeviceArray; rstd_T: DeviceArray };
  /** dx, plus `residual_TD` if given. */
  rmsNormBySetBackward(
    input: {
      dy_TD: DeviceArray;
      x_TD: DeviceArray;
      weight_SD: DeviceArray;
      rstd_T: DeviceArray;
      residual_TD?: DeviceArray | undefined;
    },
    rowOf_T: Int32Array,
    size: { T: number; D: number; S: number },
  ): DeviceArray;
  /** Gradient of the weights, `dweight[s] = Σ_t dy[t] · x[t] · rstd[t]` over the tokens of a set, in one order whatever others there are; -1: none. */
  rmsNormWeightBackward(
    input: { dy_TD: DeviceArray; x_TD: DeviceArray; rstd_T: DeviceArray },
    rowOf_T: Int32Array,
    size: { T: number; D: number; S: number },
  ): DeviceArray;
}
