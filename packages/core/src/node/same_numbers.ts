/** Whether two stored tensors hold the same numbers, read piece by piece and no further than to the first difference. */
import { bytesPerElement, storedDTypes, widen } from "../formats/dtype.ts";
import type { PlacedTensor } from "./placed_tensor.ts";
import { readFully } from "./regular_file.ts";

/** Numbers that are compared at once. */
const PIECE = 2 ** 20;

/**
 * Of dtypes that differ the widened numbers count. Tensors of another shape, or of a dtype that no weight may have, differ; so
 * do packed ones, which nobody packs twice.
 */
export async function haveSameNumbers(a: PlacedTensor, b: PlacedTensor): Promise<boolean> {
  if (String(a.shape) !== String(b.shape) || a.decoder || b.decoder) return false;
  if (!storedDTypes.has(a.dtype) || !storedDTypes.has(b.dtype)) return false;
  const length = a.shape.reduce((product, size) => product * size, 1);
  for (let first = 0; first < length; first += PIECE) {
    const count = Math.min(PIECE, length - first);
    const [ours, others] = await Promise.all([piece(a, first, count), piece(b, first, count)]);
    if (a.dtype === b.dtype && Buffer.compare(ours, others) === 0) continue;
    const [x, y] = [numbers(a, ours, count), numbers(b, others, count)];
    if (x.some((value, i) => value !== y[i] && !(Number.isNaN(value) && Number.isNaN(y[i])))) return false;
  }
  return true;
}

async function piece({ file, begin, dtype }: PlacedTensor, first: number, count: number): Promise<Uint8Array> {
  const size = bytesPerElement[storedDTypes.get(dtype) ?? "f32"];
  const bytes = new Uint8Array(count * size);
  await readFully(file, bytes, begin + first * size);
  return bytes;
}

function numbers({ dtype }: PlacedTensor, bytes: Uint8Array, count: number): Float32Array {
  const values = new Float32Array(count);
  widen(storedDTypes.get(dtype) ?? "f32", bytes, values);
  return values;
}
