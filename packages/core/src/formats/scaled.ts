/** Weights with scales, by their dtype: sizes, places, and the way there and back. */
import type { ScaledDType, WeightDType } from "../engine/arrays.ts";
import { checkLengths } from "../shape.ts";
import { bytesPerElement } from "./dtype.ts";
import { int4, nf4 } from "./four_bits.ts";
import { fp8 } from "./fp8.ts";
import { int8 } from "./int8.ts";
import type { ScaledFormat, WeightStorage } from "./scaled_format.ts";

const scaledFormats: Readonly<Record<ScaledDType, ScaledFormat>> = { i8: int8, f8: fp8, nf4, i4: int4 };

const dtypes: Readonly<Record<ScaledFormat["storage"], ScaledDType>> = {
  int8: "i8",
  fp8: "f8",
  nf4: "nf4",
  int4: "i4",
};

/** The dtype of linear maps that are held so. */
export function dtypeOfStorage(storage: Exclude<WeightStorage, "as-is">): ScaledDType {
  return dtypes[storage];
}

/** Whether weights of this dtype have scales: only `linear` and its backward take them. */
export function isScaled(dtype: WeightDType): dtype is ScaledDType {
  return dtype in scaledFormats;
}

/**
 * Bytes of a weight of this dtype and shape.
 *
 * @example
 * tensorBytes("bf16", [2, 64]); // 256
 * tensorBytes("nf4", [2, 64]); // 72: 64 numbers of four bits behind a float32, twice
 */
export function tensorBytes(dtype: WeightDType, shape: readonly number[]): number {
  if (!isScaled(dtype)) return shape.reduce((a, b) => a * b, bytesPerElement[dtype]);
  const [rows, columns = 1] = shape;
  return rows * scaledFormats[dtype].rowBytes(columns).reduce((a, b) => a + b, 0);
}

/** Rows of a weight with scales: bytes of each of its planes, and how many a row has there. */
export interface ScaledRows {
  readonly dtype: ScaledDType;
  readonly columns: number;
  readonly planes: readonly { readonly bytes: Uint8Array; readonly rowBytes: number }[];
}

/** Views of all rows. @throws RangeError if the bytes are not those of the shape. */
export function scaledRows(dtype: ScaledDType, bytes: Uint8Array, [rows, columns]: readonly number[]): ScaledRows {
  const widths = scaledFormats[dtype].rowBytes(columns);
  checkLengths({ bytes }, { rows, bytesPerRow: widths.reduce((a, b) => a + b, 0) });
  let at = 0;
  const planes = widths.map((rowBytes) => {
    const begin = at;
    at += rows * rowBytes;
    return { bytes: bytes.subarray(begin, at), rowBytes };
  });
  return { dtype, columns, planes };
}

/** Makes memory for some rows. */
export function scaledRowsOf(dtype: ScaledDType, rows: number, columns: number): ScaledRows {
  const shape = [rows, columns];
  return scaledRows(dtype, new Uint8Array(tensorBytes(dtype, shape)), shape);
}

/** The rows `from` … `past` of them. */
export function rowRange({ planes, ...same }: ScaledRows, from: number, past: number): ScaledRows {
  const part = planes.map(({ bytes, rowBytes }) => ({
    bytes: bytes.subarray(from * rowBytes, past * rowBytes),
    rowBytes,
  }));
  return { ...same, planes: part };
}

/** Fills the rows with as many numbers as they have. @throws InputError if one has no place there, by the weight's name. */
export function quantizeRows(values: Float32Array, { dtype, columns, planes }: ScaledRows, name: string): void {
  const bytes = planes.map((plane) => plane.bytes);
  scaledFormats[dtype].quantize(values, bytes, columns, name);
}

/**
 * A whole weight with scales.
 *
 * @throws InputError if a number of it is not finite, or too large for the scale.
 */
export function quantize(dtype: ScaledDType, values: Float32Array, shape: readonly number[], name: string): Uint8Array {
  const bytes = new Uint8Array(tensorBytes(dtype, shape));
  quantizeRows(values, scaledRows(dtype, bytes, shape), name);
  return bytes;
}

/** The numbers that the bytes stand for, each rounded once to float32. @throws RangeError if the bytes are not those of the shape. */
export function dequantize(dtype: ScaledDType, bytes: Uint8Array, shape: readonly number[]): Float32Array {
  const { columns, planes } = scaledRows(dtype, bytes, shape);
  const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
  scaledFormats[dtype].dequantize(
    planes.map((plane) => plane.bytes),
    columns,
    values,
  );
  return values;
}
