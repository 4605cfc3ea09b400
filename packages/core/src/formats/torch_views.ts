/** Tensors of torch's files as views: which numbers of a storage they are, in which order. */
import type { TorchTensor } from "./pickle_values.ts";
import { elementBytes } from "./safetensors.ts";

/** Elements of a tensor, and one more than the last element of the storage that it touches. */
export function extent({ shape, strides, offset }: TorchTensor): { elements: number; reach: number } {
  let elements = 1;
  let last = offset;
  for (const [i, size] of shape.entries()) {
    elements *= size;
    last += (size - 1) * strides[i];
  }
  return { elements, reach: elements === 0 ? 0 : last + 1 };
}

/** Copies a strided view into consecutive rows. */
export function gather(storage: Uint8Array, view: TorchTensor): Uint8Array {
  const { shape, strides, offset } = view;
  const width = elementBytes[view.storage.dtype];
  const { elements } = extent(view);
  const out = new Uint8Array(elements * width);
  if (elements === 0) return out;
  const { run, inner } = innerRun(view);
  const index = Array.from({ length: inner }, () => 0);
  let from = offset;
  for (let done = 0; done < elements; done += run) {
    out.set(storage.subarray(from * width, (from + run) * width), done * width);
    for (let dim = inner - 1; dim >= 0; dim--) {
      from += strides[dim];
      if (++index[dim] < shape[dim]) break;
      from -= shape[dim] * strides[dim];
      index[dim] = 0;
    }
  }
  return out;
}

/** Whether the numbers of a tensor lie one after the other, row by row. */
export function isInOrder(view: TorchTensor): boolean {
  return innerRun(view).inner === 0 || extent(view).elements === 0;
}

/** Inner dimensions that lie as they should are one run of numbers; `inner` dimensions are left around it. */
function innerRun({ shape, strides }: TorchTensor): { run: number; inner: number } {
  let run = 1;
  let inner = shape.length;
  while (inner > 0 && (strides[inner - 1] === run || shape[inner - 1] === 1)) run *= shape[--inner];
  return { run, inner };
}
