/** Comparing float32 results with float64 truth. */
import { expect } from "vitest";
import type { Numbers } from "./oracle.ts";

/** Uneven numbers of order one, exact in float32; equal rows or unit weights would hide a wrong index. */
export function wave(length: number, phase: number): Numbers {
  return Float64Array.from({ length }, (_, i) =>
    Math.fround(Math.sin(1.7 * i + phase) * (1 + 0.3 * Math.cos(0.37 * i))),
  );
}

export const single = (values: Numbers): Float32Array => Float32Array.from(values);

/** Largest difference, relative to the largest number expected. */
export function expectClose(actual: Float32Array, expected: Numbers, tolerance: number, what: string): void {
  expect(actual.length, `${what}: length`).toBe(expected.length);
  const scale = expected.reduce((max, x) => Math.max(max, Math.abs(x)), 1e-3);
  let worst = 0;
  for (const [i, x] of expected.entries()) {
    const error = Math.abs(actual[i] - x) / scale;
    worst = Math.max(worst, error); // a NaN stays
  }
  expect(worst, `${what}: largest error relative to ${scale.toExponential(1)}`).toBeLessThanOrEqual(tolerance);
}

/** `expectClose` for a tolerance of 0: not even the sign of a zero may differ. */
export function expectSameBits(actual: Float32Array, expected: Numbers, _tolerance: number, what: string): void {
  expect(new Uint32Array(actual.buffer.slice(0)), what).toEqual(new Uint32Array(single(expected).buffer));
}

/**
 * Checks a hand-derived gradient along three directions: for L(x) = Σ dy·f(x), Σ dx·v must equal (L(x+hv) − L(x−hv)) / 2h.
 * In float64 with h = 1e-5 the difference quotient is good to about 1e-9.
 */
export function expectGradient(
  forward: (x: Numbers) => Numbers,
  x: Numbers,
  dy: Numbers,
  dx: Float32Array,
  tolerance: number,
  what: string,
): void {
  const h = 1e-5;
  const loss = (at: Numbers) => forward(at).reduce((sum, y, i) => sum + y * dy[i], 0);
  const size = Math.sqrt(dx.reduce((sum, g) => sum + g * g, 0));
  for (const phase of [0.4, 1.9, 3.3]) {
    const v = wave(x.length, phase);
    const moved = (sign: number) => x.map((value, i) => value + sign * h * v[i]);
    const numeric = (loss(moved(1)) - loss(moved(-1))) / (2 * h);
    const derived = dx.reduce((sum, g, i) => sum + g * v[i], 0);
    const reach = size * Math.sqrt(v.reduce((sum, value) => sum + value * value, 0));
    expect(Math.abs(derived - numeric) / Math.max(reach, 1e-3), `${what}: gradient`).toBeLessThanOrEqual(tolerance);
  }
}
