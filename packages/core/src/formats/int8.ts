/**
 * A weight `[rows, columns]` as int8, symmetric, one scale a row, which is an output channel of a linear map:
 *
 *   w[n, k] ≈ scale[n] · q[n, k],   scale[n] = max_k |w[n, k]| / 127,   q from −127 to 127
 *
 * Rounding is to nearest, ties to even, so a number is off by at most half a scale. As bytes: the scales of all rows in
 * float32, then all numbers.
 */
import { InputError } from "../errors.ts";
import { checkLengths } from "../shape.ts";
import type { ScaledFormat } from "./scaled_format.ts";

export const int8: ScaledFormat = { storage: "int8", rowBytes: (columns) => [4, columns], quantize, dequantize };

/** Below it a scale would lose digits, and the bound of half a scale with them. */
const LEAST_SCALE = 2 ** -126;
const INFINITY_BITS = 0x7f800000;

function quantize(values: Float32Array, planes: readonly Uint8Array[], columns: number, name: string): void {
  const { scales, numbers } = viewsOf(planes);
  const rows = scales.length;
  checkLengths({ values, numbers }, { rows, columns });
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let row = 0; row < rows; row++) {
    const [begin, end] = [row * columns, (row + 1) * columns];
    // Magnitudes order as their bits do; a NaN is the largest.
    let largest = 0;
    for (let i = begin; i < end; i++) {
      const magnitude = bits[i] & 0x7fffffff;
      if (magnitude > largest) largest = magnitude;
    }
    if (largest >= INFINITY_BITS) {
      throw new InputError(`Cannot store ${name} in int8`, "it has a number that is not finite: use --storage as-is");
    }
    const scale = Math.fround(Math.max(floatOf(largest) / 127, LEAST_SCALE));
    scales[row] = scale;
    for (let i = begin; i < end; i++) numbers[i] = roundToEven(values[i] / scale);
  }
}

function dequantize(planes: readonly Uint8Array[], columns: number, out: Float32Array): void {
  const { scales, numbers } = viewsOf(planes);
  for (let row = 0, i = 0; row < scales.length; row++) {
    for (let column = 0; column < columns; column++, i++) out[i] = scales[row] * numbers[i];
  }
}

/** The scales begin at a multiple of 4. */
function viewsOf([scales, numbers]: readonly Uint8Array[]): { scales: Float32Array; numbers: Int8Array } {
  return {
    scales: new Float32Array(scales.buffer, scales.byteOffset, scales.length / 4),
    numbers: new Int8Array(numbers.buffer, numbers.byteOffset, numbers.length),
  };
}

/** Up to 2⁵¹: adding 1.5 · 2⁵² leaves no binary places. */
function roundToEven(x: number): number {
  return x + 6755399441055744 - 6755399441055744;
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);
function floatOf(bits: number): number {
  word[0] = bits;
  return float[0];
}
