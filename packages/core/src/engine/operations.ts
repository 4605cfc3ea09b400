/**
 * The operations of an Engine as data, in the letters of engine.ts. A *flat* one is described whole: engines derive its
 * argument checks and glue, and tests their cases, from its row. The others: special_operations.ts.
 *
 * What is added later is a row: vectors by set are inputs `[S, N]` beside a list `rowOf_T` of rows from -1 (no set) to S - 1.
 */

import { addScaled } from "../kernels/add_scaled.ts";
import { softCap } from "../kernels/cap.ts";
import { checkColumns, joinColumns, splitColumns } from "../kernels/columns.ts";
import {
  gegluBackward,
  gegluForward,
  geluBackward,
  geluErfBackward,
  geluErfForward,
  geluForward,
  geluQuickForward,
} from "../kernels/gelu.ts";
import { layerNormBackward, layerNormForward } from "../kernels/layernorm.ts";
import { rmsNormBackward, rmsNormForward } from "../kernels/rmsnorm.ts";
import { gatherRows, scatterRows } from "../kernels/rows.ts";
import { scaleRowsBackward, scaleRowsForward } from "../kernels/scale_rows.ts";
import { sigmoidGateBackward, sigmoidGateForward } from "../kernels/sigmoid_gate.ts";
import { swigluBackward, swigluForward } from "../kernels/swiglu.ts";
import { type FlatName, none, type RowList, type RowOf } from "./operation_rows.ts";
import { tuningRows } from "./tuning_rows.ts";

const [TD, TF] = [{ T: 0, D: 1 } as const, { T: 0, F: 1 } as const];
const columns = { T: 0, A: 1, B: 1, X: 1 } as const;
/** A unit of an MLP without a gate: a number of `up` to one of y. */
const unit = {
  ...none,
  arguments: ["up_TF"],
  sizes: TF,
  outputs: { y_TF: "TF" },
  inputs: { up_TF: "TF" },
  tolerance: 1,
} as const;
const unitBackward = {
  ...none,
  arguments: ["dy_TF", "up_TF"],
  sizes: TF,
  outputs: { dup_TF: "TF" },
  inputs: { dy_TF: "TF", up_TF: "TF" },
  tolerance: 1,
} as const;
const rows_R: RowList = { shape: "R", below: "T", least: 0 };
/** The flat operations, by name: sizes, arguments in order, and the backward of each. */
export const flatOperations: { readonly [Name in FlatName]: RowOf<Name> } = {
  ...tuningRows,
  gatherRows: {
    ...none,
    arguments: ["x_TD", "rows_R"],
    sizes: TD,
    rows: { rows_R },
    outputs: { y_RD: "RD" },
    inputs: { x_TD: "TD" },
    backward: "scatterRows",
    tolerance: 0,
    kernel: gatherRows,
  },
  scatterRows: {
    ...none,
    arguments: ["dy_RD", "rows_R"],
    sizes: TD,
    rows: { rows_R },
    outputs: { dx_TD: "TD" },
    inputs: { dy_RD: "RD" },
    tolerance: 0,
    kernel: scatterRows,
  },
  splitColumns: {
    ...none,
    arguments: ["x_TX"],
    sizes: columns,
    outputs: { a_TA: "TA", b_TB: "TB" },
    inputs: { x_TX: "TX" },
    tolerance: 1, // moved, but an engine may hold such rows in fewer bits
    check: checkColumns,
    kernel: splitColumns,
  },
  joinColumns: {
    ...none,
    arguments: ["a_TA", "b_TB"],
    sizes: columns,
    outputs: { x_TX: "TX" },
    inputs: { a_TA: "TA", b_TB: "TB" },
    tolerance: 1, // moved, but an engine may hold such rows in fewer bits
    check: checkColumns,
    kernel: joinColumns,
  },
  addScaled: {
    ...none,
    arguments: ["x_TD", "y_TD"],
    sizes: TD,
    numbers: ["factor"],
    outputs: { sum_TD: "TD" },
    inputs: { x_TD: "TD", y_TD: "TD" },
    tolerance: 1,
    kernel: addScaled,
  },
  scaleRows: {
    ...none,
    arguments: ["x_TD", "factor_T"],
    sizes: TD,
    outputs: { y_TD: "TD" },
    inputs: { x_TD: "TD", factor_T: "T" },
    backward: "scaleRowsBackward",
    tolerance: 1,
    kernel: scaleRowsForward,
  },
  scaleRowsBackward: {
    ...none,
    arguments: [["dy_TD", "x_TD", "factor_T"]],
    sizes: TD,
    outputs: { dx_TD: "TD", dfactor_T: "T" },
    inputs: { dy_TD: "TD", x_TD: "TD", factor_T: "T" },
    tolerance: 4,
    kernel: scaleRowsBackward,
  },
  sigmoidGate: {
    ...none,
    arguments: ["x_TF", "gate_TF"],
    sizes: TF,
    outputs: { y_TF: "TF" },
    inputs: { x_TF: "TF", gate_TF: "TF" },
    backward: "sigmoidGateBackward",
    tolerance: 1,
    kernel: sigmoidGateForward,
  },
  sigmoidGateBackward: {
    ...none,
    arguments: [["dy_TF", "x_TF", "gate_TF"]],
    sizes: TF,
    outputs: { dx_TF: "TF", dgate_TF: "TF" },
    inputs: { dy_TF: "TF", x_TF: "TF", gate_TF: "TF" },
    tolerance: 1,
    kernel: sigmoidGateBackward,
  },
  rmsNorm: {
    ...none,
    arguments: ["x_TD", "weight_D"],
    sizes: TD,
    numbers: ["eps"],
    weights: { weight_D: "D" },
    outputs: { y_TD: "TD", rstd_T: "T" },
    inputs: { x_TD: "TD" },
    backward: "rmsNormBackward",
    tolerance: 1,
    kernel: rmsNormForward,
  },
  rmsNormBackward: {
    ...none,
    arguments: [["dy_TD", "x_TD", "weight_D", "rstd_T", "residual_TD"]],
    sizes: TD,
    weights: { weight_D: "D" },
    outputs: { dx_TD: "TD" },
    inputs: { dy_TD: "TD", x_TD: "TD", rstd_T: "T" },
    maybe: { residual_TD: "TD" },
    tolerance: 4,
    kernel: rmsNormBackward,
  },
  layerNorm: {
    ...none,
    arguments: ["x_TD", ["weight_D", "bias_D"]],
    sizes: TD,
    numbers: ["eps"],
    weights: { weight_D: "D", bias_D: "D" },
    outputs: { y_TD: "TD", stats_T2: "T2" },
    inputs: { x_TD: "TD" },
    backward: "layerNormBackward",
    tolerance: 8,
    kernel: layerNormForward,
  },
  layerNormBackward: {
    ...none,
    arguments: [["dy_TD", "x_TD", "weight_D", "stats_T2", "residual_TD"]],
    sizes: TD,
    weights: { weight_D: "D" },
    outputs: { dx_TD: "TD" },
    inputs: { dy_TD: "TD", x_TD: "TD", stats_T2: "T2" },
    maybe: { residual_TD: "TD" },
    tolerance: 16,
    kernel: layerNormBackward,
  },
  swiglu: {
    ...none,
    arguments: ["gateUp"],
    sizes: TF,
    outputs: { y_TF: "TF" },
    inputs: { gateUp: "T2F" },
    backward: "swigluBackward",
    tolerance: 1,
    kernel: swigluForward,
  },
  swigluBackward: {
    ...none,
    arguments: ["dy_TF", "gateUp"],
    sizes: TF,
    outputs: { dgateUp: "T2F" },
    inputs: { dy_TF: "TF", gateUp: "T2F" },
    tolerance: 1,
    kernel: swigluBackward,
  },
  geglu: {
    ...none,
    arguments: ["gateUp"],
    sizes: TF,
    outputs: { y_TF: "TF" },
    inputs: { gateUp: "T2F" },
    backward: "gegluBackward",
    tolerance: 1,
    kernel: gegluForward,
  },
  gegluBackward: {
    ...none,
    arguments: ["dy_TF", "gateUp"],
    sizes: TF,
    outputs: { dgateUp: "T2F" },
    inputs: { dy_TF: "TF", gateUp: "T2F" },
    tolerance: 1,
    kernel: gegluBackward,
  },
  gelu: { ...unit, backward: "geluBackward", kernel: geluForward },
  geluBackward: { ...unitBackward, kernel: geluBackward },
  geluErf: { ...unit, backward: "geluErfBackward", kernel: geluErfForward },
  geluErfBackward: { ...unitBackward, kernel: geluErfBackward },
  geluQuick: { ...unit, kernel: geluQuickForward },
  softCap: {
    ...none,
    arguments: ["x_TF"],
    sizes: TF,
    numbers: ["cap"],
    outputs: { y_TF: "TF" },
    inputs: { x_TF: "TF" },
    tolerance: 1,
    kernel: softCap,
  },
};
