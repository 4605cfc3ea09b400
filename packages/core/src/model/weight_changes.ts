/** What a loader does to a stored tensor on its way into the weight image, see `WeightPart.change`. */
import type { DType } from "../engine/engine.ts";
import { bytesPerElement } from "../formats/dtype.ts";

/** Writes the transpose of `from`, `[rows, columns]` numbers of any dtype, to `to`; the two may not overlap. */
export function transpose(to: Uint8Array, from: Uint8Array, dtype: DType, [rows, columns]: readonly number[]): void {
  const numbers = ({ buffer, byteOffset }: Uint8Array) =>
    bytesPerElement[dtype] === 4
      ? new Uint32Array(buffer, byteOffset, rows * columns)
      : new Uint16Array(buffer, byteOffset, rows * columns);
  const [source, target] = [numbers(from), numbers(to)];
  for (let r = 0, at = 0; r < rows; r++) for (let c = 0; c < columns; c++, at++) target[c * rows + r] = source[at];
}

/** Adds 1 to float32 numbers in place. */
export function addOne(numbers: Float32Array): void {
  for (let i = 0; i < numbers.length; i++) numbers[i] += 1;
}
