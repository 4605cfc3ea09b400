/** What a loader does to a stored tensor on its way into the weight image, see `WeightPart.change`. */
import type { DType } from "../engine/engine.ts";
import { bytesPerElement } from "../formats/dtype.ts";
import type { WeightPart } from "./weight_sources.ts";

/**
 * Writes some numbers of a matrix `[rows, columns]` of any dtype to their places in its transpose: `from` holds those that
 * begin with number `first`, row by row. `to` is the whole transpose.
 */
export function transposePart(
  to: Uint8Array,
  from: Uint8Array,
  first: number,
  dtype: DType,
  [rows, columns]: readonly number[],
): void {
  const numbers = ({ buffer, byteOffset, byteLength }: Uint8Array) =>
    bytesPerElement[dtype] === 4
      ? new Uint32Array(buffer, byteOffset, byteLength / 4)
      : new Uint16Array(buffer, byteOffset, byteLength / 2);
  const [source, target] = [numbers(from), numbers(to)];
  let [r, c] = [Math.floor(first / columns), first % columns];
  for (let at = 0; at < source.length; at++) {
    target[c * rows + r] = source[at];
    if (++c === columns) {
      c = 0;
      r++;
    }
  }
}

/** Changes float32 numbers in place as a part of a weight asks for: adds 1, then multiplies. */
export function changeNumbers(
  numbers: Float32Array,
  { change, times = 1 }: Pick<WeightPart, "change" | "times">,
): void {
  if (change === "add-one") for (let i = 0; i < numbers.length; i++) numbers[i] += 1;
  if (times !== 1) for (let i = 0; i < numbers.length; i++) numbers[i] *= times;
}

/** Whether the changed numbers have a place in 16 bits if the stored ones have: they are the same, or a power of two is the factor. */
export function keepsDType({ change, times = 1 }: Pick<WeightPart, "change" | "times">): boolean {
  return change !== "add-one" && Number.isInteger(Math.log2(times));
}

/** Writes whole rows of `rowBytes` bytes, of which the first has the number `first` in its part, to their places in `to`. */
export function moveRows(
  to: Uint8Array,
  from: Uint8Array,
  first: number,
  rowBytes: number,
  rowTo: (stored: number) => number,
): void {
  for (let at = 0, row = first; at < from.length; at += rowBytes, row++) {
    to.set(from.subarray(at, at + rowBytes), rowTo(row) * rowBytes);
  }
}
