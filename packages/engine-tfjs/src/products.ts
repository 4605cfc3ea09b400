/** Matrix products if the backend's own are good, and for WebAssembly, where most of them are not. */
import type { Products, Tensor, Tf } from "./tf.ts";

export function plainProducts(tf: Tf): Products {
  return {
    linear: (x_TK, w_NK) => tf.matMul(x_TK, w_NK, false, true),
    linearBackward: (dy_TN, w_NK) => tf.matMul(dy_TN, w_NK),
    batched: (a, b, transposeA = false, transposeB = false) => tf.matMul(a, b, transposeA, transposeB),
  };
}

export interface WasmRoom {
  /** Throws if this many more bytes do not fit: an allocation of the kernels' own would fail in silence. */
  ensure(bytes: number): void;
  /** Counts bytes that kernels hold from now on. */
  keep(bytes: number): void;
}

/**
 * tfjs-backend-wasm has a fast product (XNNPACK) for two matrices as they lie, and a loop ten times slower for a transposed
 * one or a batch. So `x·Wᵀ` is `(W·xᵀ)ᵀ`, in which only activations are transposed, and a batch goes one by one.
 *
 * XNNPACK packs the right factor, and keeps that for as long as the tensor lives: weights that backward uses are there twice.
 */
export function wasmProducts(tf: Tf, { ensure, keep }: WasmRoom): Products {
  const packed = new WeakSet<object>();
  const product = (a: Tensor, b: Tensor) => {
    ensure(packedBytes(b));
    return tf.matMul(a, b);
  };
  const matrix = (x: Tensor, index: number) => {
    const [, rows = 0, columns = 0] = x.shape;
    return tf.reshape(tf.slice(x, [index, 0, 0], [1, rows, columns]), [rows, columns]);
  };
  return {
    linear: (x_TK, w_NK) => tf.transpose(product(w_NK, tf.transpose(x_TK))),
    linearBackward(dy_TN, w_NK) {
      if (packed.has(w_NK)) return tf.matMul(dy_TN, w_NK);
      const dx_TK = product(dy_TN, w_NK);
      packed.add(w_NK);
      keep(packedBytes(w_NK));
      return dx_TK;
    },
    batched(a, b, transposeA = false, transposeB = false) {
      const left = transposeA ? tf.transpose(a, [0, 2, 1]) : a;
      const right = transposeB ? tf.transpose(b, [0, 2, 1]) : b;
      const [batch = 0] = left.shape;
      return tf.stack(Array.from({ length: batch }, (_, i) => product(matrix(left, i), matrix(right, i))));
    },
  };
}

/** Columns by 8 with a bias for each, aligned. */
function packedBytes({ shape: [k = 0, n = 0] }: Tensor): number {
  return 4 * (k + 1) * 8 * Math.ceil(n / 8) + 4096;
}
