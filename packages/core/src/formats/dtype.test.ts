import * as fc from "fast-check";
import { expect, test } from "vitest";
import { narrow, widen } from "./dtype.ts";

const allHalves = Uint16Array.from({ length: 0x10000 }, (_, i) => i);
const bytesOf = (view: ArrayBufferView) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
const halvesOf = (bytes: Uint8Array) => new Uint16Array(bytes.slice().buffer);

/** binary16 by its definition, in float64. */
function f16Value(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15));
}

test("widen gives every one of the 65,536 f16 numbers its defined value", () => {
  const out = new Float32Array(0x10000);
  widen("f16", bytesOf(allHalves), out);
  const wrong = [...allHalves].filter((half) => !Object.is(out[half], f16Value(half)));
  expect(wrong).toEqual([]);
});

test("widen gives every one of the 65,536 bf16 numbers the float32 with those upper bits", () => {
  const out = new Float32Array(0x10000);
  widen("bf16", bytesOf(allHalves), out);
  const bits = new Uint32Array(out.buffer);
  expect([...allHalves].filter((half) => bits[half] !== half * 65536)).toEqual([]);
});

test.each(["f16", "bf16"] as const)(
  "%s to f32 and back keeps all 65,536 bit patterns, NaN payloads included",
  (dtype) => {
    const out = new Float32Array(0x10000);
    widen(dtype, bytesOf(allHalves), out);
    expect(halvesOf(narrow(out, dtype))).toEqual(allHalves);
  },
);

/** The two neighbours of x among finite halves and the nearer one; a tie goes to the even pattern. Magnitudes only. */
function nearest(x: number, value: (half: number) => number, infinity: number): number {
  let low = 0;
  let high = infinity; // patterns of non-negative numbers are in the order of their values
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (value(middle) <= x) low = middle;
    else high = middle;
  }
  const above = high === infinity ? 2 * value(infinity - 1) - value(infinity - 2) : value(high);
  const toLow = x - value(low);
  const toHigh = above - x;
  return toLow < toHigh || (toLow === toHigh && low % 2 === 0) ? low : high;
}

const bf16Value = (half: number) => new Float32Array(Uint32Array.of(half << 16).buffer)[0];

test.each([
  ["f16", f16Value, 0x7c00],
  ["bf16", bf16Value, 0x7f80],
] as const)("narrow to %s picks the nearest number, ties to even", (dtype, value, infinity) => {
  const magnitude = fc.integer({ min: 0, max: 0x7f7fffff }); // all finite float32 patterns without a sign
  const nearHalf = fc
    .tuple(fc.integer({ min: 0, max: infinity - 1 }), fc.integer({ min: -1, max: 1 }), fc.boolean())
    .map(([half, nudge, isMiddle]) => {
      const step =
        value(half + 1) === Number.POSITIVE_INFINITY ? value(half) - value(half - 1) : value(half + 1) - value(half);
      const bits = new Uint32Array(Float32Array.of(value(half) + (isMiddle ? step / 2 : 0)).buffer);
      return Math.min(Math.max(bits[0] + nudge, 0), 0x7f7fffff);
    });
  fc.assert(
    fc.property(fc.oneof(magnitude, nearHalf), fc.boolean(), (bits, negative) => {
      const x = new Float32Array(Uint32Array.of(bits + (negative ? 0x80000000 : 0)).buffer);
      const expected = nearest(Math.abs(x[0]), value, infinity) + (negative ? 0x8000 : 0);
      expect(halvesOf(narrow(x, dtype))[0]).toBe(expected);
    }),
    { numRuns: 5000 },
  );
});

test("narrow keeps a NaN whose payload is cut off", () => {
  const quietest = new Float32Array(Uint32Array.of(0x7f800001, 0xff800001).buffer);
  expect(halvesOf(narrow(quietest, "bf16"))).toEqual(Uint16Array.of(0x7fc0, 0xffc0));
  expect(halvesOf(narrow(quietest, "f16"))).toEqual(Uint16Array.of(0x7e00, 0xfe00));
});

test("narrow to f16 rounds 65519 down and 65520 to infinity, 2⁻²⁵ to zero and more than that up", () => {
  const values = Float32Array.of(65504, 65519, 65520, 1e30, 2 ** -25, 2 ** -25 * 1.001, -0, Number.NEGATIVE_INFINITY);
  const expected = [0x7bff, 0x7bff, 0x7c00, 0x7c00, 0, 1, 0x8000, 0xfc00];
  expect([...halvesOf(narrow(values, "f16"))]).toEqual(expected);
});

test("widen reads from odd addresses and from shared memory, narrow copies f32", () => {
  const values = Float32Array.of(1.5, -2, 0.25);
  for (const dtype of ["f32", "bf16", "f16"] as const) {
    const bytes = narrow(values, dtype);
    const shifted = new Uint8Array(new SharedArrayBuffer(bytes.length + 1)).subarray(1);
    shifted.set(bytes);
    const out = new Float32Array(3);
    widen(dtype, shifted, out);
    expect(out).toEqual(values);
    expect(bytes.buffer).not.toBe(values.buffer);
  }
});

test("widen refuses bytes of the wrong length", () => {
  expect(() => widen("bf16", new Uint8Array(6), new Float32Array(4))).toThrow(
    "Cannot use bytes: expected 8 elements for shape (elements=4, bytesPerElement=2), got 6",
  );
});
