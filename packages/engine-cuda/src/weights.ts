/** Frozen weights on the GPU, in the form that an operation needs: factors of products, rows of a table, vectors of float32. */
import { type HostTensor, type Matrix, widen } from "@zerogate/core";
import type { Block } from "./memory.ts";
import type { NumberType } from "./product.ts";
import { bytesOf, type Runtime } from "./runtime.ts";

/** A weight is put on the GPU at its first use, in the type of that use; few have more than one. */
export interface CudaMatrix extends Matrix {
  readonly tensor: HostTensor;
  readonly forms: Map<NumberType, Block>;
}

/** @throws TypeError for int8, RangeError where shape and bytes do not fit. */
export function createMatrix(runtime: Runtime, tensor: HostTensor): CudaMatrix {
  const { dtype, shape, bytes } = tensor;
  if (dtype === "i8") throw new TypeError("Cannot use a weight of i8: f32, bf16 or f16 is needed");
  const [rows = 0, columns = 1] = shape;
  const needed = rows * columns * (dtype === "f32" ? 4 : 2);
  if (shape.length > 2 || bytes.byteLength !== needed) {
    const found = `${dtype} [${shape.join(", ")}] in ${bytes.byteLength} bytes`;
    throw new RangeError(`Cannot use a weight: it is ${found}, one or two dimensions and ${needed} bytes are needed`);
  }
  const matrix: CudaMatrix = { rows, columns, tensor, forms: new Map() };
  // A map of 16 bits has one form only: while loading is the time for it.
  if (shape.length === 2 && dtype === "bf16" && runtime.inner === "bf16") formOf(runtime, matrix, "bf16");
  return matrix;
}

/** The left factor of a product, from `row` on. */
export function factor(runtime: Runtime, matrix: Matrix, row = 0): bigint {
  const at = formOf(runtime, matrix as CudaMatrix, runtime.inner);
  return at + BigInt(row * matrix.columns * bytesOf[runtime.inner]);
}

/** A table of rows as it was given, f16 widened. */
export function table(runtime: Runtime, matrix: Matrix): { readonly at: bigint; readonly type: NumberType } {
  const type = (matrix as CudaMatrix).tensor.dtype === "bf16" ? "bf16" : "f32";
  return { at: formOf(runtime, matrix as CudaMatrix, type), type };
}

/** A norm or a bias in float32, from `row` on. */
export function vector(runtime: Runtime, matrix: Matrix, row = 0): bigint {
  return formOf(runtime, matrix as CudaMatrix, "f32") + BigInt(4 * row);
}

function formOf(runtime: Runtime, { tensor, forms, rows, columns }: CudaMatrix, type: NumberType): bigint {
  const known = forms.get(type);
  if (known) return known.address;
  return runtime.aside(() => put(runtime, { tensor, forms, rows, columns }, type));
}

function put(runtime: Runtime, { tensor, forms, rows, columns }: CudaMatrix, type: NumberType): bigint {
  const length = rows * columns;
  const block = runtime.hold(length * bytesOf[type]);
  forms.set(type, block);
  if (tensor.dtype === type) {
    runtime.staging.upload(block.address, tensor.bytes);
    return block.address;
  }
  // A part at a time: widening on the host, rounding on the GPU.
  const dtype = tensor.dtype === "bf16" ? "bf16" : "f32";
  const stored = tensor.dtype === "f32" ? 4 : 2;
  for (let from = 0; from < length; from += PART) {
    const count = Math.min(PART, length - from);
    const bytes = tensor.bytes.subarray(from * stored, (from + count) * stored);
    const numbers = tensor.dtype === "f16" ? widenedF16(bytes, count) : bytes;
    runtime.withData([numbers], (at) => {
      runtime.convert(block.address + BigInt(from * bytesOf[type]), type, at, dtype, count);
    });
  }
  return block.address;
}

/** Numbers that are on their way at once. */
const PART = 1 << 22;

function widenedF16(bytes: Uint8Array, count: number): Uint8Array {
  const numbers = new Float32Array(count);
  widen("f16", bytes, numbers);
  return new Uint8Array(numbers.buffer);
}
