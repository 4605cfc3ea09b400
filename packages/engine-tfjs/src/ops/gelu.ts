/**
 * GELU in its tanh approximation (arXiv:1606.08415 §2), alone and over merged rows `[gate | up]` (GeGLU, arXiv:2002.05202):
 *   gelu(a) = a/2 · (1 + tanh u),  u = √(2/π)·(a + 0.044715 a³)
 *   gelu'(a) = (1 + tanh u)/2 + a/2 · (1 − tanh² u) · √(2/π)·(1 + 3·0.044715 a²)
 */
import type { Maths, Tensor } from "../tf.ts";

const ROOT = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

const tanhOf = ({ tf }: Maths, a: Tensor): Tensor =>
  tf.tanh(tf.mul(tf.mul(a, tf.add(tf.mul(tf.square(a), CUBIC), 1)), ROOT));

export function gelu(maths: Maths, a: Tensor): Tensor {
  const { tf } = maths;
  return tf.mul(tf.mul(a, 0.5), tf.add(tanhOf(maths, a), 1));
}

/** gelu'(a). */
function slope(maths: Maths, a: Tensor): Tensor {
  const { tf } = maths;
  const tanh = tanhOf(maths, a);
  const inner = tf.mul(tf.add(tf.mul(tf.square(a), 3 * CUBIC), 1), ROOT);
  const bend = tf.mul(tf.mul(tf.mul(a, 0.5), tf.sub(1, tf.square(tanh))), inner);
  return tf.add(tf.mul(tf.add(tanh, 1), 0.5), bend);
}

export function geluBackward(maths: Maths, dy: Tensor, a: Tensor): Tensor {
  return maths.tf.mul(dy, slope(maths, a));
}

export function geglu(maths: Maths, gateUp: Tensor, size: { T: number; F: number }): Tensor {
  const [a, b] = halves(maths, gateUp, size);
  return maths.tf.mul(gelu(maths, a), b);
}

export function gegluBackward(maths: Maths, dy_TF: Tensor, gateUp: Tensor, size: { T: number; F: number }): Tensor {
  const { tf } = maths;
  const [a, b] = halves(maths, gateUp, size);
  return tf.concat([tf.mul(tf.mul(dy_TF, b), slope(maths, a)), tf.mul(dy_TF, gelu(maths, a))], 1);
}

function halves({ tf }: Maths, gateUp: Tensor, { T, F }: { T: number; F: number }): [Tensor, Tensor] {
  return [tf.slice(gateUp, [0, 0], [T, F]), tf.slice(gateUp, [0, F], [T, F])];
}
