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

export interface Int8Rows {
  readonly scales: Float32Array;
  readonly numbers: Int8Array;
}

/** Returns the bytes of a map in int8: a float32 scale and `columns` bytes for each row. */
export function int8Bytes([rows, columns]: readonly number[]): number {
  return rows * (4 + columns);
}

/** Views of both parts. The bytes begin at a multiple of 4. */
export function int8Rows(bytes: Uint8Array, rows: number): Int8Rows {
  const { buffer, byteOffset, byteLength } = bytes;
  return {
    scales: new Float32Array(buffer, byteOffset, rows),
    numbers: new Int8Array(buffer, byteOffset + 4 * rows, byteLength - 4 * rows),
  };
}

/** Below it a scale would lose digits, and the bound of half a scale with them. */
const LEAST_SCALE = 2 ** -126;
const INFINITY_BITS = 0x7f800000;

/** As many rows as `out` has scales. Throws an `InputError` if a number is not finite. */
export function quantizeRows(values: Float32Array, out: Int8Rows, name: string): void {
  const { scales, numbers } = out;
  const rows = scales.length;
  const columns = values.length / rows;
  checkLengths({ numbers }, { rows, columns });
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

/** The numbers that the bytes stand for, each rounded once to float32. */
export function dequantizeRows(bytes: Uint8Array, [rows, columns]: readonly number[]): Float32Array {
  checkLengths({ bytes }, { rows, bytesPerRow: 4 + columns });
  const { scales, numbers } = int8Rows(bytes, rows);
  const values = new Float32Array(rows * columns);
  for (let row = 0, i = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, i++) values[i] = scales[row] * numbers[i];
  }
  return values;
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
