/** What the operations compute with. TensorFlow.js is an optional peer: only its types are imported. */
import type * as tfjs from "@tensorflow/tfjs-core";

export type Tf = typeof tfjs;
export type Tensor = tfjs.Tensor;

/**
 * Matrix products, the one thing that backends need written differently. Weights are `[N, K]`; their tensors are passed as
 * they were made, so that a backend may remember what it prepared for one.
 */
export interface Products {
  /** `x·Wᵀ`: `[T, K]` and `[N, K]` to `[T, N]`. */
  linear(x_TK: Tensor, w_NK: Tensor): Tensor;
  /** `dy·W`: `[T, N]` and `[N, K]` to `[T, K]`. */
  linearBackward(dy_TN: Tensor, w_NK: Tensor): Tensor;
  /** `a·b` of each pair of matrices in `[B, m, k]` and `[B, k, n]`; a transposed one is given as it lies in memory. */
  batched(a: Tensor, b: Tensor, transposeA?: boolean, transposeB?: boolean): Tensor;
}

export interface Maths {
  readonly tf: Tf;
  readonly products: Products;
}

/** One backend, open in this thread. */
export interface Backend extends Maths {
  /** TensorFlow.js's own name of it. */
  readonly id: string;
  /** What determines the bits in addition to our code: versions, device. */
  readonly version: string;
  /** Throws an `InputError` with the limit if an array of this many bytes cannot be held, before it is allocated. */
  ensure(bytes: number): void;
  /** Gives back what it kept for arrays of other lengths. */
  endArena(): void;
  /** Throws what the device reported since it was opened, if anything. */
  checkDevice(): void;
}

/** `[from, to)` along one axis of a tensor of three. */
export function part(tf: Tf, x: Tensor, axis: 0 | 1 | 2, from: number, to: number): Tensor {
  const begin = [0, 0, 0];
  const size = [...x.shape];
  begin[axis] = from;
  size[axis] = to - from;
  return tf.slice(x, begin, size);
}
