/**
 * A linear map over float64 activations with trained float32 weights: what an adapter computes of images on the host has the
 * same bits on every engine.
 *
 *   y = x·Wᵀ + b        dx = dy·W,   dW += dyᵀ·x,   db += Σ_T dy
 *
 * Every sum ascends. Loops take several rows at a time, since a single sum waits for its own last addition; the bits are those
 * of one row at a time. T rows · K inputs · N outputs.
 */
import { checkLengths } from "../shape.ts";

/** Weights of a map, or of a norm; of `Float64Array` their gradients. */
export interface WideMap<Numbers extends Float32Array | Float64Array = Float32Array> {
  readonly weight: Numbers;
  readonly bias: Numbers;
}

/** The maps of the host: core's own, or an engine's with the same bits. */
export interface WideArithmetic {
  /** Returns `y_TN`. */
  readonly wideLinear: typeof wideLinear;
  /** Returns `dx_TK`, and adds the gradients of weight and bias to `sums`. */
  readonly wideLinearBackward: typeof wideLinearBackward;
}

/** Rows, outputs and inputs of a map. */
export type WideSize = { readonly T: number; readonly N: number; readonly K: number };

/** Returns `y_TN`. */
export function wideLinear(
  x_TK: Float64Array,
  { weight: w_NK, bias: b_N }: WideMap,
  { T, N, K }: WideSize,
): Float64Array {
  checkLengths({ x_TK }, { T, K });
  checkLengths({ w_NK }, { N, K });
  checkLengths({ b_N }, { N });
  const y_TN = new Float64Array(T * N);
  const [T2, N4] = [T - (T % 2), N - (N % 4)];
  for (let n = 0; n < N4; n += 4) {
    for (let t = 0; t < T2; t += 2) twoByFour(y_TN, x_TK, w_NK, b_N, t, n, N, K);
  }
  for (let t = 0; t < T; t++) {
    for (let n = t < T2 ? N4 : 0; n < N; n++) {
      let sum = b_N[n];
      for (let k = 0, x = t * K, w = n * K; k < K; k++) sum += x_TK[x + k] * w_NK[w + k];
      y_TN[t * N + n] = sum;
    }
  }
  return y_TN;
}

function twoByFour(
  y_TN: Float64Array,
  x_TK: Float64Array,
  w_NK: Float32Array,
  b_N: Float32Array,
  t: number,
  n: number,
  N: number,
  K: number,
): void {
  const [b0, b1, b2, b3] = [b_N[n], b_N[n + 1], b_N[n + 2], b_N[n + 3]];
  let [s00, s01, s02, s03, s10, s11, s12, s13] = [b0, b1, b2, b3, b0, b1, b2, b3];
  const [w0, w1, w2, w3] = [n * K, (n + 1) * K, (n + 2) * K, (n + 3) * K];
  const [x0, x1] = [t * K, (t + 1) * K];
  for (let k = 0; k < K; k++) {
    const [a0, a1] = [x_TK[x0 + k], x_TK[x1 + k]];
    const [v0, v1, v2, v3] = [w_NK[w0 + k], w_NK[w1 + k], w_NK[w2 + k], w_NK[w3 + k]];
    s00 += a0 * v0;
    s01 += a0 * v1;
    s02 += a0 * v2;
    s03 += a0 * v3;
    s10 += a1 * v0;
    s11 += a1 * v1;
    s12 += a1 * v2;
    s13 += a1 * v3;
  }
  const [y0, y1] = [t * N + n, (t + 1) * N + n];
  y_TN[y0] = s00;
  y_TN[y0 + 1] = s01;
  y_TN[y0 + 2] = s02;
  y_TN[y0 + 3] = s03;
  y_TN[y1] = s10;
  y_TN[y1 + 1] = s11;
  y_TN[y1 + 2] = s12;
  y_TN[y1 + 3] = s13;
}

/** Returns `dx_TK`, and adds the gradients of weight and bias to `sums`. */
export function wideLinearBackward(
  sums: WideMap<Float64Array>,
  { dy_TN, x_TK, weight: w_NK }: { dy_TN: Float64Array; x_TK: Float64Array; weight: Float32Array },
  { T, N, K }: WideSize,
): Float64Array {
  const { weight: dw_NK, bias: db_N } = sums;
  checkLengths({ dy_TN }, { T, N });
  checkLengths({ x_TK }, { T, K });
  checkLengths({ w_NK, dw_NK }, { N, K });
  checkLengths({ db_N }, { N });
  const dx_TK = new Float64Array(T * K);
  const [T4, N4] = [T - (T % 4), N - (N % 4)];
  for (let t = 0; t < T; t++) {
    const [y, x] = [t * N, t * K];
    for (let n = 0; n < N; n++) db_N[n] += dy_TN[y + n];
    for (let n = 0; n < N4; n += 4) {
      const [d0, d1, d2, d3, w] = [dy_TN[y + n], dy_TN[y + n + 1], dy_TN[y + n + 2], dy_TN[y + n + 3], n * K];
      for (let k = 0, at = w; k < K; k++, at++) {
        dx_TK[x + k] = dx_TK[x + k] + d0 * w_NK[at] + d1 * w_NK[at + K] + d2 * w_NK[at + 2 * K] + d3 * w_NK[at + 3 * K];
      }
    }
    for (let n = N4; n < N; n++) {
      for (let k = 0, w = n * K; k < K; k++) dx_TK[x + k] += dy_TN[y + n] * w_NK[w + k];
    }
  }
  for (let n = 0; n < N; n++) {
    const w = n * K;
    for (let t = 0; t < T4; t += 4) {
      const y = t * N + n;
      const [d0, d1, d2, d3, x] = [dy_TN[y], dy_TN[y + N], dy_TN[y + 2 * N], dy_TN[y + 3 * N], t * K];
      for (let k = 0, at = x; k < K; k++, at++) {
        dw_NK[w + k] = dw_NK[w + k] + d0 * x_TK[at] + d1 * x_TK[at + K] + d2 * x_TK[at + 2 * K] + d3 * x_TK[at + 3 * K];
      }
    }
    for (let t = T4; t < T; t++) {
      for (let k = 0, x = t * K; k < K; k++) dw_NK[w + k] += dy_TN[t * N + n] * x_TK[x + k];
    }
  }
  return dx_TK;
}

/** The maps of this file. */
export const plainWide: WideArithmetic = { wideLinear, wideLinearBackward };

/** Returns the maps of an engine, or those of this file for what it has not. */
export function wideArithmeticOf(engine: Partial<WideArithmetic>): WideArithmetic {
  return {
    wideLinear: engine.wideLinear ?? wideLinear,
    wideLinearBackward: engine.wideLinearBackward ?? wideLinearBackward,
  };
}
