/**
 * Float32 from and to the two half-size formats of checkpoints, in bulk, on the bits. Little-endian hosts only.
 *
 *   bf16 = the upper half of a float32 (8 exponent bits, 7 of mantissa)
 *   f16  = IEEE 754 binary16 (5 exponent bits, 10 of mantissa, subnormals from 2⁻²⁴, largest 65504)
 *
 * Narrowing rounds to nearest, ties to even, as PyTorch does; a NaN stays a NaN and keeps what fits of its payload.
 */
import type { DType } from "../engine/engine.ts";
import { checkLengths } from "../shape.ts";
import type { TensorDType } from "./safetensors.ts";

/** How numbers may be stored in a file: as an engine takes them, or in float64, which is rounded to float32 at once. */
export type StoredDType = DType | "f64";

export const bytesPerElement: Readonly<Record<StoredDType, number>> = { f32: 4, bf16: 2, f16: 2, f64: 8 };

/** The name of each in safetensors and torch files. */
export const storedDTypes: ReadonlyMap<TensorDType, StoredDType> = new Map([
  ["F32", "f32"],
  ["F16", "f16"],
  ["BF16", "bf16"],
  ["F64", "f64"],
]);

/** Fills `out` with the numbers in `bytes`, which may start at any address. Throws a `RangeError` on a wrong length. */
export function widen(dtype: StoredDType, bytes: Uint8Array, out: Float32Array): void {
  checkLengths({ bytes }, { elements: out.length, bytesPerElement: bytesPerElement[dtype] });
  if (dtype === "f32") {
    new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes);
    return;
  }
  if (dtype === "f64") {
    const aligned = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
    out.set(new Float64Array(aligned.buffer, aligned.byteOffset, out.length));
    return;
  }
  const halves = halvesOf(bytes);
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  if (dtype === "bf16") {
    for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16;
  } else {
    const table = f16Table();
    for (let i = 0; i < halves.length; i++) bits[i] = table[halves[i]];
  }
}

/** The numbers as bytes of a checkpoint. A number too large for f16 becomes infinity, as everywhere. */
export function narrow(values: Float32Array, dtype: DType): Uint8Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  if (dtype === "f32") return new Uint8Array(bits.slice().buffer);
  const halves = new Uint16Array(values.length);
  if (dtype === "bf16") {
    for (let i = 0; i < halves.length; i++) halves[i] = bf16FromF32(bits[i]);
  } else {
    for (let i = 0; i < halves.length; i++) halves[i] = f16FromF32(bits[i]);
  }
  return new Uint8Array(halves.buffer);
}

/** A view if the address allows one, else a copy. */
function halvesOf(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(aligned.buffer, aligned.byteOffset, bytes.byteLength / 2);
}

function bf16FromF32(bits: number): number {
  // A NaN whose payload lies in the lower half only would turn into infinity: set the quiet bit.
  if ((bits & 0x7fffffff) > 0x7f800000) return bits & 0x7f0000 ? bits >>> 16 : (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** Bits of the nearest float16 of a float32; too large a number becomes infinity. */
export function f16FromF32(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7c00 | ((magnitude >>> 13) & 0x3ff || 0x200);
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and more lie nearer to the first number that f16 lacks
  if (magnitude >= 0x38800000) {
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  if (magnitude <= 0x33000000) return sign; // 2⁻²⁵ is half of the smallest subnormal: the tie goes to zero
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - (magnitude >>> 23); // 14 … 24, to units of 2⁻²⁴
  return sign | ((mantissa + (1 << (shift - 1)) - 1 + ((mantissa >>> shift) & 1)) >>> shift);
}

let numbers: Float32Array | undefined;

/** The number with these bits of float16. */
export function f16Number(bits: number): number {
  numbers ??= new Float32Array(f16Table().buffer);
  return numbers[bits];
}

let table: Uint32Array | undefined;

/** Float32 bits of all 65,536 f16 numbers; made at first use, 256 KiB. */
function f16Table(): Uint32Array {
  table ??= Uint32Array.from({ length: 0x10000 }, (_, half) => f32FromF16(half));
  return table;
}

/** Bits of the float32 of a float16. */
export function f32FromF16(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (mantissa << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (mantissa << 13);
  if (mantissa === 0) return sign;
  const shift = Math.clz32(mantissa) - 21; // brings the leading 1 of a subnormal to bit 10
  return sign | ((113 - shift) << 23) | (((mantissa << shift) & 0x3ff) << 13);
}
