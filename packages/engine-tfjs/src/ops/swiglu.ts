/** SwiGLU (arXiv:2002.05202): y = silu(a)·b over merged rows `[a | b]`, silu(a) = a·σ(a). */
import type { Maths, Tensor } from "../tf.ts";

export function swiglu({ tf }: Maths, gateUp: Tensor, { T, F }: { T: number; F: number }): Tensor {
  const [a, b] = [tf.slice(gateUp, [0, 0], [T, F]), tf.slice(gateUp, [0, F], [T, F])];
  return tf.mul(tf.mul(a, tf.sigmoid(a)), b);
}

/** dsilu(a) = σ(a)·(1 + a·(1 − σ(a))). */
export function swigluBackward(
  { tf }: Maths,
  dy_TF: Tensor,
  gateUp: Tensor,
  { T, F }: { T: number; F: number },
): Tensor {
  const [a, b] = [tf.slice(gateUp, [0, 0], [T, F]), tf.slice(gateUp, [0, F], [T, F])];
  const sigmoid = tf.sigmoid(a);
  const da = tf.mul(tf.mul(dy_TF, b), tf.mul(sigmoid, tf.add(tf.mul(a, tf.sub(1, sigmoid)), 1)));
  return tf.concat([da, tf.mul(dy_TF, tf.mul(a, sigmoid))], 1);
}
