/**
 * A weight `[rows, columns]` in 8-bit floats (E4M3 of arXiv:2209.05433: 4 bits of exponent, 3 of mantissa, no infinity, at most
 * 448), one scale a row:
 *
 *   w[n, k] ≈ scale[n] · f8[n, k],   scale[n] = max_k |w[n, k]| / 448
 *
 * Rounding is to nearest, ties to even: a number is off by at most a 16th of itself, or, if it is small, by 2⁻¹⁰ scales.
 * As bytes: the scales of all rows in float32, then a byte a number; the same layout as int8's.
 */
import { InputError } from "../errors.ts";
import { checkLengths } from "../shape.ts";
import type { ScaledFormat } from "./scaled_format.ts";

export const fp8: ScaledFormat = { storage: "fp8", rowBytes: (columns) => [4, columns], quantize, dequantize };

const LARGEST = 448;
/** Below it a scale would lose digits. */
const LEAST_SCALE = 2 ** -126;
/** Least number with a whole mantissa; below it numbers are multiples of 2⁻⁹. */
const LEAST_NORMAL = 2 ** -6;

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The byte of the nearest number; |x| is at most 448. */
function byteOf(x: number): number {
  float[0] = Math.abs(x);
  // Adding 1.5 · 2⁵² rounds to an integer; adding half of what is cut off, less one if that would tie to odd, to 3 places.
  const magnitude =
    float[0] < LEAST_NORMAL
      ? float[0] * 2 ** 9 + 6755399441055744 - 6755399441055744
      : ((bits[0] + 0x7ffff + ((bits[0] >>> 20) & 1)) >>> 20) - ((127 - 7) << 3);
  return x < 0 || Object.is(x, -0) ? magnitude | 0x80 : magnitude;
}

/** Numbers of all bytes; two of them are not numbers. */
export const fp8Values: Float32Array = Float32Array.from({ length: 256 }, (_, byte) => {
  const [exponent, mantissa] = [(byte >> 3) & 15, byte & 7];
  if (exponent === 15 && mantissa === 7) return Number.NaN;
  const magnitude = exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10);
  return byte & 0x80 ? -magnitude : magnitude;
});

function quantize(
  values: Float32Array,
  [scaleBytes, numbers]: readonly Uint8Array[],
  columns: number,
  name: string,
): void {
  const scales = scalesOf(scaleBytes);
  const rows = scales.length;
  checkLengths({ values, numbers }, { rows, columns });
  for (let row = 0; row < rows; row++) {
    const [begin, end] = [row * columns, (row + 1) * columns];
    let largest = 0;
    for (let i = begin; i < end; i++) {
      const magnitude = Math.abs(values[i]);
      if (!(magnitude < Number.POSITIVE_INFINITY)) {
        throw new InputError(`Cannot store ${name} in fp8`, "it has a number that is not finite: use --storage as-is");
      }
      if (magnitude > largest) largest = magnitude;
    }
    const scale = Math.fround(Math.max(largest / LARGEST, LEAST_SCALE));
    scales[row] = scale;
    for (let i = begin; i < end; i++) numbers[i] = byteOf(Math.max(-LARGEST, Math.min(LARGEST, values[i] / scale)));
  }
}

function dequantize([scaleBytes, numbers]: readonly Uint8Array[], columns: number, out: Float32Array): void {
  const scales = scalesOf(scaleBytes);
  for (let row = 0, i = 0; row < scales.length; row++) {
    for (let column = 0; column < columns; column++, i++) out[i] = scales[row] * fp8Values[numbers[i]];
  }
}

/** They begin at a multiple of 4. */
function scalesOf({ buffer, byteOffset, length }: Uint8Array): Float32Array {
  return new Float32Array(buffer, byteOffset, length / 4);
}
