/** Rows of the table of operations for adapters that tune the base itself. */
import { rmsNormBySetBackward, rmsNormBySetForward, rmsNormWeightBackward } from "../kernels/rmsnorm_by_set.ts";
import { scaleShiftBackward, scaleShiftForward } from "../kernels/scale_shift.ts";
import { none, type RowOf } from "./operation_rows.ts";
import type { TuningOperations } from "./tuning_operations.ts";

/** The set of each token. */
const setOf = (least: -1 | 0) => ({ rowOf_T: { shape: "T", below: "S", least } }) as const;
const [TNS, TDS] = [{ T: 0, N: 1, S: 1 } as const, { T: 0, D: 1, S: 1 } as const];

export const tuningRows: { readonly [Name in keyof TuningOperations]: RowOf<Name> } = {
  scaleShift: {
    ...none,
    arguments: ["u_TN", ["scale_SN", "bias_SN", "residual_TN"], "rowOf_T"],
    sizes: TNS,
    rows: setOf(-1),
    outputs: { y_TN: "TN" },
    inputs: { u_TN: "TN", scale_SN: "SN", bias_SN: "SN" },
    maybe: { residual_TN: "TN" },
    backward: "scaleShiftBackward",
    tolerance: 2,
    kernel: scaleShiftForward,
  },
  scaleShiftBackward: {
    ...none,
    arguments: [["dy_TN", "u_TN", "scale_SN", "bias_SN"], "rowOf_T"],
    sizes: TNS,
    rows: setOf(-1),
    outputs: { du_TN: "TN", dscale_SN: "SN", dbias_SN: "SN" },
    inputs: { dy_TN: "TN", u_TN: "TN", scale_SN: "SN", bias_SN: "SN" },
    tolerance: 4,
    kernel: scaleShiftBackward,
  },
  rmsNormBySet: {
    ...none,
    arguments: ["x_TD", "weight_SD", "rowOf_T"],
    sizes: TDS,
    numbers: ["eps"],
    rows: setOf(0),
    outputs: { y_TD: "TD", rstd_T: "T" },
    inputs: { x_TD: "TD", weight_SD: "SD" },
    backward: "rmsNormBySetBackward",
    tolerance: 1,
    kernel: rmsNormBySetForward,
  },
  rmsNormBySetBackward: {
    ...none,
    arguments: [["dy_TD", "x_TD", "weight_SD", "rstd_T", "residual_TD"], "rowOf_T"],
    sizes: TDS,
    rows: setOf(0),
    outputs: { dx_TD: "TD" },
    inputs: { dy_TD: "TD", x_TD: "TD", weight_SD: "SD", rstd_T: "T" },
    maybe: { residual_TD: "TD" },
    tolerance: 4,
    kernel: rmsNormBySetBackward,
  },
  rmsNormWeightBackward: {
    ...none,
    arguments: [["dy_TD", "x_TD", "rstd_T"], "rowOf_T"],
    sizes: TDS,
    rows: setOf(-1),
    outputs: { dweight_SD: "SD" },
    inputs: { dy_TD: "TD", x_TD: "TD", rstd_T: "T" },
    tolerance: 4,
    kernel: rmsNormWeightBackward,
  },
};
