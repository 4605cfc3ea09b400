/** Reads the tensors of a plan to their places in the block of a base. */
import type { DType } from "../engine/engine.ts";
import { bytesPerElement, narrow, type StoredDType, widen } from "../formats/dtype.ts";
import { checkInt4 } from "../formats/four_bits.ts";
import { isScaled, rowRange, scaledRows } from "../formats/scaled.ts";
import { changeNumbers, keepsDType, moveRows, transposePart } from "../model/weight_changes.ts";
import type { WeightPart } from "../model/weight_sources.ts";
import type { WeightPlace } from "../model/weights.ts";
import { decodedRange } from "./decoded_range.ts";
import type { FileRange } from "./parallel_read.ts";
import type { PlacedTensor } from "./placed_tensor.ts";
import { quantizedRange } from "./quantized_range.ts";

/** A tensor of a file and how its numbers are stored there. */
export interface FoundTensor {
  readonly tensor: PlacedTensor;
  readonly dtype: StoredDType;
  readonly part: WeightPart;
}

/** Its weight, and the row of it that it begins with. */
export interface PlannedRead extends FoundTensor {
  readonly name: string;
  readonly place: WeightPlace;
  readonly row: number;
}

/** What reads a tensor to its place; one that is packed, through its decoder unless its weight is to be packed so too. */
export function rangeOf(read: PlannedRead, block: ArrayBufferLike): FileRange {
  const { tensor, dtype, part, place } = read;
  const { file, begin, end, decoder } = tensor;
  const isPlain = part.change === undefined && (part.times ?? 1) === 1;
  if (decoder?.isInt4 && place.dtype === "i4" && isPlain) return keptRange(read, block);
  if (decoder === undefined || dtype === "f64") return plainRange(read, block);
  const count = tensor.shape.reduce((a, b) => a * b, 1);
  const unpacked = { ...tensor, begin: 0, end: count * bytesPerElement[dtype] };
  return decodedRange({ file, begin, end, decoder, count, dtype }, plainRange({ ...read, tensor: unpacked }, block));
}

/** Blocks go to their places as they are: nothing is rounded once more. */
function keptRange({ tensor, part, name, place, row }: PlannedRead, block: ArrayBufferLike): FileRange {
  const all = scaledRows("i4", new Uint8Array(block, place.offset, place.byteLength), place.shape);
  const [{ bytes: own, rowBytes }] = rowRange(all, row, row + (tensor.shape[0] ?? 0)).planes;
  const { rowTo } = part;
  return {
    ...tensor,
    unit: rowBytes,
    ...(!rowTo && { place: (from: number, length: number) => own.subarray(from, from + length) }),
    onChunk(bytes, from) {
      checkInt4(bytes, name);
      if (rowTo) moveRows(own, bytes, from / rowBytes, rowBytes, rowTo);
    },
  };
}

/** A chunk goes straight to its place, or is changed on its way there, or stays in the file cache. */
function plainRange(read: PlannedRead, block: ArrayBufferLike): FileRange {
  const { tensor, dtype, part, name, place, row } = read;
  const { change, times = 1, rowTo } = part;
  if (place.path !== undefined) return tensor;
  const to = place.dtype;
  const [, columns = 1] = place.shape;
  const ownRows = (tensor.end - tensor.begin) / bytesPerElement[dtype] / columns;
  if (isScaled(to)) {
    const all = scaledRows(to, new Uint8Array(block, place.offset, place.byteLength), place.shape);
    return quantizedRange(read, rowRange(all, row, row + ownRows), name);
  }
  const offset = place.offset + row * columns * bytesPerElement[to];
  const [stored, placed] = [bytesPerElement[dtype], bytesPerElement[to]];
  const bytesOf = (bytes: Uint8Array) => converted(bytes, { dtype, part }, to);
  if (rowTo) {
    const own = new Uint8Array(block, offset, ownRows * columns * placed);
    const onChunk = (bytes: Uint8Array, from: number) =>
      moveRows(own, bytesOf(bytes), from / stored / columns, columns * placed, rowTo);
    return { ...tensor, unit: columns * stored, onChunk };
  }
  if (dtype === to && change === undefined && times === 1) {
    return { ...tensor, place: (from, length) => new Uint8Array(block, offset + from, length) };
  }
  const onChunk = (bytes: Uint8Array, from: number) => {
    const first = from / stored;
    if (change === "transpose") {
      const whole = new Uint8Array(block, offset, ((tensor.end - tensor.begin) / stored) * placed);
      return transposePart(whole, bytesOf(bytes), first, to, tensor.shape);
    }
    if (to !== "f32") return new Uint8Array(block, offset + first * placed, bytes.length).set(bytesOf(bytes));
    const target = new Float32Array(block, offset + first * placed, bytes.length / stored);
    widen(dtype, bytes, target);
    changeNumbers(target, part);
  };
  return { ...tensor, onChunk };
}

/** Numbers of a file as they are placed; the same bytes if nothing is to be done. */
function converted(bytes: Uint8Array, { dtype, part }: Pick<FoundTensor, "dtype" | "part">, to: DType): Uint8Array {
  if (dtype === to && keepsDType(part) && (part.times ?? 1) === 1) return bytes;
  const numbers = new Float32Array(bytes.length / bytesPerElement[dtype]);
  widen(dtype, bytes, numbers);
  changeNumbers(numbers, part);
  return to === "f32" ? new Uint8Array(numbers.buffer) : narrow(numbers, to);
}
