/** Frozen weights on the GPU, in the form that an operation needs: factors of products, rows of a table, vectors of float32. */
import {
  type HostTensor,
  isScaled,
  type Matrix,
  type RowRange,
  tensorBytes,
  type WeightDType,
  widen,
} from "@zerogate/core/engine";
import type { Block } from "./device_memory.ts";
import type { NumberType } from "./product.ts";
import { bytesOf, type Runtime, rowwise } from "./runtime.ts";

/** A weight is put on the GPU at its first use, in the type of that use; few have more than one. */
export interface CudaMatrix extends Matrix {
  readonly tensor: HostTensor;
  readonly forms: Map<WeightDType, Block>;
}

/** @throws RangeError if shape and bytes do not fit. */
export function createMatrix(runtime: Runtime, tensor: HostTensor): CudaMatrix {
  const { dtype, shape, bytes } = tensor;
  const [rows = 0, columns = 1] = shape;
  const needed = tensorBytes(dtype, shape);
  if (shape.length > 2 || bytes.byteLength !== needed) {
    const found = `${dtype} [${shape.join(", ")}] in ${bytes.byteLength} bytes`;
    throw new RangeError(`Cannot use a weight: it is ${found}, one or two dimensions and ${needed} bytes are needed`);
  }
  const matrix: CudaMatrix = { rows, columns, tensor, forms: new Map() };
  // A map of 16 bits has one form only: while loading is the time for it.
  if (shape.length === 2 && dtype === "bf16" && runtime.inner === "bf16") formOf(runtime, matrix, "bf16");
  if (isScaled(dtype)) bytesAt(runtime, matrix);
  return matrix;
}

/**
 * The left factor of a product, `rows` of it, for as long as `work` runs. One of 8 or 4 bits is widened for each product: that reads and
 * writes it once, while the product reads it for every 128 tokens or so.
 */
export function withFactor(
  runtime: Runtime,
  matrix: Matrix,
  [from, to]: RowRange,
  work: (factor: bigint) => void,
): void {
  const { tensor, rows, columns } = matrix as CudaMatrix;
  if (!isScaled(tensor.dtype)) {
    const at = formOf(runtime, matrix as CudaMatrix, runtime.inner);
    work(at + BigInt(from * columns * bytesOf[runtime.inner]));
    return;
  }
  const at = bytesAt(runtime, matrix as CudaMatrix);
  // It lies as these rows of a whole widened weight would: cuBLASLt chooses by alignment, and another choice has other bits.
  const skipped = (from * columns * bytesOf[runtime.inner]) % 256;
  const wide = runtime.array((to - from) * columns + skipped / bytesOf[runtime.inner], runtime.inner);
  const widened = runtime.at(wide) + BigInt(skipped);
  const lie =
    tensor.dtype === "nf4" || tensor.dtype === "i4"
      ? [at + BigInt(from * tensorBytes(tensor.dtype, [1, columns]))]
      : [at + BigInt(4 * from), at + BigInt(4 * rows + from * columns)];
  runtime.run("rows", `widen_${tensor.dtype}`, rowwise(to - from, columns), [widened, ...lie, columns]);
  work(widened);
  runtime.free(wide);
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

/** A weight with scales as it was given. */
function bytesAt(runtime: Runtime, { tensor: { dtype, bytes }, forms }: CudaMatrix): bigint {
  const known = forms.get(dtype);
  if (known) return known.address;
  const block = runtime.hold(bytes.byteLength);
  forms.set(dtype, block);
  runtime.staging.upload(block.address, bytes); // in `matrix`, so it is never a part of noted work
  return block.address;
}

function formOf(runtime: Runtime, { tensor, forms, rows, columns }: CudaMatrix, type: NumberType): bigint {
  const known = forms.get(type);
  if (known) return known.address;
  return runtime.aside(() => put(runtime, { tensor, forms, rows, columns }, type));
}

function put(runtime: Runtime, { tensor, forms, rows, columns }: CudaMatrix, type: NumberType): bigint {
  if (isScaled(tensor.dtype)) throw new TypeError(`Cannot use a weight of ${tensor.dtype}: it is for linear maps only`);
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
