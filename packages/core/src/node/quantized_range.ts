/** Quantises a linear map while it is read: a few rows at a time are held as the file has them, never the whole base. */
import type { ScaledDType } from "../engine/engine.ts";
import { bytesPerElement, type StoredDType, widen } from "../formats/dtype.ts";
import { quantizeRowsFp8 } from "../formats/fp8.ts";
import { type Int8Rows, quantizeRows } from "../formats/int8.ts";
import { changeNumbers, moveRows, transposePart } from "../model/weight_changes.ts";
import type { WeightPart } from "../model/weight_sources.ts";
import type { FileRange } from "./parallel_read.ts";
import type { PlacedTensor } from "./weight_files.ts";

/** A tensor of a file, and what is done to it on its way. */
interface QuantizedTensor {
  readonly tensor: PlacedTensor;
  readonly dtype: StoredDType;
  readonly part: Pick<WeightPart, "change" | "times" | "rowTo">;
}

/**
 * What reads the tensor into `out`, its own rows of a weight. Chunks are whole rows; of a tensor that is stored transposed no
 * row is whole before all is read, so it is collected first.
 */
export function quantizedRange(
  { tensor, dtype, part }: QuantizedTensor,
  { to, ...out }: Int8Rows & { readonly to: ScaledDType },
  name: string,
): FileRange {
  const { change, rowTo } = part;
  const quantize = to === "i8" ? quantizeRows : quantizeRowsFp8;
  const [rows, columns] = tensor.shape;
  const size = bytesPerElement[dtype];
  const widened = (bytes: Uint8Array) => {
    const values = new Float32Array(bytes.length / size);
    widen(dtype, bytes, values);
    changeNumbers(values, part);
    return values;
  };
  if (change === "transpose") {
    let whole: Float32Array | undefined;
    let missing = tensor.end - tensor.begin;
    const onChunk = (bytes: Uint8Array, from: number) => {
      whole ??= new Float32Array(rows * columns);
      const numbers = new Uint8Array(widened(bytes).buffer);
      transposePart(new Uint8Array(whole.buffer), numbers, from / size, "f32", tensor.shape);
      missing -= bytes.length;
      if (missing > 0) return;
      quantize(whole, out, name);
      whole = undefined;
    };
    return { ...tensor, onChunk };
  }
  const unit = columns * size;
  const onChunk = (bytes: Uint8Array, from: number) => {
    const [first, past] = [from / unit, (from + bytes.length) / unit];
    if (rowTo) {
      const made = { scales: new Float32Array(past - first), numbers: new Int8Array((past - first) * columns) };
      quantize(widened(bytes), made, name);
      const { scales, numbers } = out;
      const bytesOf = ({ buffer, byteOffset, byteLength }: Int8Array | Float32Array) =>
        new Uint8Array(buffer, byteOffset, byteLength);
      moveRows(bytesOf(scales), bytesOf(made.scales), first, 4, rowTo);
      moveRows(bytesOf(numbers), bytesOf(made.numbers), first, columns, rowTo);
      return;
    }
    const own = {
      scales: out.scales.subarray(first, past),
      numbers: out.numbers.subarray(first * columns, past * columns),
    };
    quantize(widened(bytes), own, name);
  };
  return { ...tensor, unit, onChunk };
}
