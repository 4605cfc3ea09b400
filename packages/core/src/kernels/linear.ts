/**
 * Linear map and its activation gradient. Weights are `[N, K]` as Hugging Face stores them.
 *
 *   y[t, n] = Σ_k x[t, k] · w[n, k] (+ bias[n]) (+ residual[t, n])
 *   dx[t, k] = Σ_n dy[t, n] · w[n, k] (+ residual[t, k])
 *
 * Every output is one sum in ascending order in float64, rounded once on store. Blocks of 4 × 4 outputs share their loads
 * (5.5 GFLOP/s against 1.9 without, docs/log.md); blocking does not change the order inside a sum, so the bits of a row do
 * not depend on which other rows are computed with it.
 */
import { checkLengths } from "../shape.ts";

export interface LinearSize {
  readonly T: number;
  readonly N: number;
  readonly K: number;
}

export function linearForward(
  out: { y_TN: Float32Array },
  input: {
    x_TK: Float32Array;
    w_NK: Float32Array;
    bias_N?: Float32Array | undefined;
    residual_TN?: Float32Array | undefined;
  },
  { T, N, K }: LinearSize,
): void {
  const { y_TN } = out;
  const { x_TK, w_NK, bias_N, residual_TN } = input;
  checkLengths({ x_TK }, { T, K });
  checkLengths({ w_NK }, { N, K });
  checkLengths({ y_TN, ...(residual_TN && { residual_TN }) }, { T, N });
  if (bias_N) checkLengths({ bias_N }, { N });
  product(y_TN, x_TK, w_NK, { rows: T, columns: N, length: K, columnStride: K, step: 1 });
  if (bias_N) for (let t = 0, i = 0; t < T; t++) for (let n = 0; n < N; n++, i++) y_TN[i] += bias_N[n];
  if (residual_TN) for (let i = 0; i < y_TN.length; i++) y_TN[i] += residual_TN[i];
}

export function linearBackward(
  grad: { dx_TK: Float32Array },
  input: { dy_TN: Float32Array; w_NK: Float32Array; residual_TK?: Float32Array | undefined },
  { T, N, K }: LinearSize,
): void {
  const { dx_TK } = grad;
  const { dy_TN, w_NK, residual_TK } = input;
  checkLengths({ dy_TN }, { T, N });
  checkLengths({ w_NK }, { N, K });
  checkLengths({ dx_TK, ...(residual_TK && { residual_TK }) }, { T, K });
  product(dx_TK, dy_TN, w_NK, { rows: T, columns: K, length: N, columnStride: 1, step: K });
  if (residual_TK) for (let i = 0; i < dx_TK.length; i++) dx_TK[i] += residual_TK[i];
}

/** How the weight is walked: element i of output column c is `w[c · columnStride + i · step]`. */
interface ProductSize {
  readonly rows: number;
  readonly columns: number;
  readonly length: number;
  readonly columnStride: number;
  readonly step: number;
}

function product(y: Float32Array, x: Float32Array, w: Float32Array, size: ProductSize): void {
  const { rows, columns } = size;
  const rows4 = rows & ~3;
  const columns4 = columns & ~3;
  for (let r = 0; r < rows4; r += 4) for (let c = 0; c < columns4; c += 4) block(y, x, w, r, c, size);
  for (let r = 0; r < rows; r++) for (let c = r < rows4 ? columns4 : 0; c < columns; c++) single(y, x, w, r, c, size);
}

function single(y: Float32Array, x: Float32Array, w: Float32Array, r: number, c: number, size: ProductSize): void {
  const { columns, length, columnStride, step } = size;
  let sum = 0;
  for (let i = 0, at = c * columnStride; i < length; i++, at += step) sum += x[r * length + i] * w[at];
  y[r * columns + c] = sum;
}

/** Rows r … r+3 times columns c … c+3: sixteen sums that V8 keeps in registers. */
function block(y: Float32Array, x: Float32Array, w: Float32Array, r: number, c: number, size: ProductSize): void {
  const { columns, length, columnStride, step } = size;
  const x0 = r * length;
  const x1 = x0 + length;
  const x2 = x1 + length;
  const x3 = x2 + length;
  let w0 = c * columnStride;
  let w1 = w0 + columnStride;
  let w2 = w1 + columnStride;
  let w3 = w2 + columnStride;
  let s00 = 0;
  let s01 = 0;
  let s02 = 0;
  let s03 = 0;
  let s10 = 0;
  let s11 = 0;
  let s12 = 0;
  let s13 = 0;
  let s20 = 0;
  let s21 = 0;
  let s22 = 0;
  let s23 = 0;
  let s30 = 0;
  let s31 = 0;
  let s32 = 0;
  let s33 = 0;
  for (let i = 0; i < length; i++) {
    const a0 = x[x0 + i];
    const a1 = x[x1 + i];
    const a2 = x[x2 + i];
    const a3 = x[x3 + i];
    const b0 = w[w0];
    const b1 = w[w1];
    const b2 = w[w2];
    const b3 = w[w3];
    s00 += a0 * b0;
    s01 += a0 * b1;
    s02 += a0 * b2;
    s03 += a0 * b3;
    s10 += a1 * b0;
    s11 += a1 * b1;
    s12 += a1 * b2;
    s13 += a1 * b3;
    s20 += a2 * b0;
    s21 += a2 * b1;
    s22 += a2 * b2;
    s23 += a2 * b3;
    s30 += a3 * b0;
    s31 += a3 * b1;
    s32 += a3 * b2;
    s33 += a3 * b3;
    w0 += step;
    w1 += step;
    w2 += step;
    w3 += step;
  }
  let at = r * columns + c;
  y[at] = s00;
  y[at + 1] = s01;
  y[at + 2] = s02;
  y[at + 3] = s03;
  at += columns;
  y[at] = s10;
  y[at + 1] = s11;
  y[at + 2] = s12;
  y[at + 3] = s13;
  at += columns;
  y[at] = s20;
  y[at + 1] = s21;
  y[at + 2] = s22;
  y[at + 3] = s23;
  at += columns;
  y[at] = s30;
  y[at + 1] = s31;
  y[at + 2] = s32;
  y[at + 3] = s33;
}
