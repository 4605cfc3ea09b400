/** Quantises a linear map while it is read: a few rows at a time are held as the file has them, never the whole base. */
import { bytesPerElement, type StoredDType, widen } from "../formats/dtype.ts";
import { quantizeRows, rowRange, type ScaledRows, scaledRowsOf } from "../formats/scaled.ts";
import { changeNumbers, moveRows, transposePart } from "../model/weight_changes.ts";
import type { WeightPart } from "../model/weight_sources.ts";
import type { FileRange } from "./parallel_read.ts";
import type { PlacedTensor } from "./placed_tensor.ts";

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
export function quantizedRange({ tensor, dtype, part }: QuantizedTensor, out: ScaledRows, name: string): FileRange {
  const { change, rowTo } = part;
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
      quantizeRows(whole, out, name);
      whole = undefined;
    };
    return { ...tensor, onChunk };
  }
  const unit = columns * size;
  const onChunk = (bytes: Uint8Array, from: number) => {
    const [first, past] = [from / unit, (from + bytes.length) / unit];
    if (!rowTo) return quantizeRows(widened(bytes), rowRange(out, first, past), name);
    const made = scaledRowsOf(out.dtype, past - first, columns);
    quantizeRows(widened(bytes), made, name);
    for (const [i, { bytes: to, rowBytes }] of out.planes.entries()) {
      moveRows(to, made.planes[i].bytes, first, rowBytes, rowTo);
    }
  };
  return { ...tensor, unit, onChunk };
}
