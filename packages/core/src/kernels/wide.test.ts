/** The maps of the host in float64: their bits are those of the plain loops, their gradients slopes. */
import { describe, expect, test } from "vitest";
import { normal } from "../random.ts";
import { wideAttention, wideAttentionBackward } from "./wide_attention.ts";
import { wideLinear, wideLinearBackward } from "./wide_linear.ts";
import { wideNorm, wideNormBackward } from "./wide_norm.ts";

const wide = (length: number, seed: number) => Float64Array.from({ length }, (_, i) => normal(seed, i));
const narrow = (length: number, seed: number) => Float32Array.from(wide(length, seed));
const zeros = (length: number) => new Float64Array(length);

describe.each([
  [1, 1, 1],
  [2, 4, 3],
  [3, 5, 7],
  [5, 7, 4],
  [9, 13, 6],
])("a linear map of %i rows to %i outputs of %i inputs", (T, N, K) => {
  const size = { T, N, K };
  const [x, dy] = [wide(T * K, 1), wide(T * N, 2)];
  const map = { weight: narrow(N * K, 3), bias: narrow(N, 4) };

  test("has the bits of one sum after another", () => {
    const expected = Float64Array.from({ length: T * N }, (_, i) => {
      let sum = map.bias[i % N];
      for (let k = 0; k < K; k++) sum += x[Math.floor(i / N) * K + k] * map.weight[(i % N) * K + k];
      return sum;
    });
    expect(wideLinear(x, map, size)).toEqual(expected);
  });

  test("has gradients with the bits of one sum after another, added to what is there", () => {
    const sums = { weight: wide(N * K, 5), bias: wide(N, 6) };
    const [weight, bias] = [sums.weight.slice(), sums.bias.slice()];
    const dx = zeros(T * K);
    for (let t = 0; t < T; t++) {
      for (let n = 0; n < N; n++) {
        const d = dy[t * N + n];
        bias[n] += d;
        for (let k = 0; k < K; k++) {
          dx[t * K + k] += d * map.weight[n * K + k];
          weight[n * K + k] += d * x[t * K + k];
        }
      }
    }
    expect(wideLinearBackward(sums, { dy_TN: dy, x_TK: x, weight: map.weight }, size)).toEqual(dx);
    expect(sums).toEqual({ weight, bias });
  });
});

/** Compares a gradient with central differences of `Σ y·dy`. */
function expectSlope(x: Float64Array | Float32Array, gradient: Float64Array, loss: () => number): void {
  for (let i = 0; i < x.length; i++) {
    const value = x[i];
    const h = x instanceof Float32Array ? 2 ** -12 : 1e-5;
    x[i] = value + h;
    const above = loss();
    x[i] = value - h;
    const slope = (above - loss()) / (2 * h);
    x[i] = value;
    expect(Math.abs(slope - gradient[i])).toBeLessThan(1e-5 * Math.max(1, Math.abs(slope)));
  }
}

const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * b[i], 0);

test("the norm has mean 0 and variance 1 under weights of 1, and slopes for gradients", () => {
  const [T, D] = [3, 5];
  const [x, dy] = [wide(T * D, 1), wide(T * D, 2)];
  const plain = wideNorm(x, { weight: new Float32Array(D).fill(1), bias: new Float32Array(D) }, { T, D, eps: 0 });
  const row = plain.y_TD.subarray(D, 2 * D);
  expect(row.reduce((a, b) => a + b) / D).toBeCloseTo(0, 12);
  expect(row.reduce((a, b) => a + b * b, 0) / D).toBeCloseTo(1, 12);
  const weights = { weight: narrow(D, 3), bias: narrow(D, 4) };
  const size = { T, D, eps: 0.1 };
  const sums = { weight: zeros(D), bias: zeros(D) };
  const dx = wideNormBackward(sums, { dy_TD: dy, saved: wideNorm(x, weights, size), weight: weights.weight }, size);
  const loss = () => dot(wideNorm(x, weights, size).y_TD, dy);
  expectSlope(x, dx, loss);
  expectSlope(weights.weight, sums.weight, loss);
  expectSlope(weights.bias, sums.bias, loss);
});

test.each([4, 2])("attention of %i rows to 4 has slopes for gradients, and weights that sum to 1", (R) => {
  const size = { T: 4, R, H: 2, d: 3 };
  const [qkv, dy] = [wide(4 * 18, 1), wide(R * 6, 2)];
  expectSlope(qkv, wideAttentionBackward({ do_RE: dy, qkv_T3E: qkv }, size), () => dot(wideAttention(qkv, size), dy));
  const alike = qkv.slice();
  for (let t = 0; t < 4; t++) alike.set(alike.subarray(12, 18), t * 18 + 12);
  for (const [i, o] of wideAttention(alike, size).entries()) expect(o).toBeCloseTo(alike[12 + (i % 6)], 12);
});
