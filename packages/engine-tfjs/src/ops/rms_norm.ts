/** RMSNorm (arXiv:1910.07467 eq. 4):  rstd = 1 / √(mean(x²) + eps),  y = x · rstd · weight. */
import type { Maths, Tensor } from "../tf.ts";

export function rmsNorm({ tf }: Maths, x_TD: Tensor, weight_D: Tensor, eps: number): { y_TD: Tensor; rstd_T1: Tensor } {
  const rstd_T1 = tf.rsqrt(tf.add(tf.mean(tf.square(x_TD), 1, true), eps));
  return { y_TD: tf.mul(tf.mul(x_TD, rstd_T1), weight_D), rstd_T1 };
}

/** With x̂ = x·rstd and g = dy·weight:  dx = rstd · (g − x̂ · mean(g·x̂)). */
export function rmsNormBackward(
  { tf }: Maths,
  input: { dy_TD: Tensor; x_TD: Tensor; weight_D: Tensor; rstd_T1: Tensor },
): Tensor {
  const { dy_TD, x_TD, weight_D, rstd_T1 } = input;
  const g = tf.mul(dy_TD, weight_D);
  const unit = tf.mul(x_TD, rstd_T1);
  return tf.mul(rstd_T1, tf.sub(g, tf.mul(unit, tf.mean(tf.mul(g, unit), 1, true))));
}
