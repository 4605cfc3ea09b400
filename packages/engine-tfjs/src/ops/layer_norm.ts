/** LayerNorm (arXiv:1607.06450 eq. 3):  x̂ = (x − mean(x)) · rstd,  rstd = 1 / √(mean((x − mean(x))²) + eps),  y = x̂ · weight + bias. */
import type { Maths, Tensor } from "../tf.ts";

/** `stats_T2` holds mean and rstd of each token. */
export function layerNorm(
  { tf }: Maths,
  x_TD: Tensor,
  { weight_D, bias_D }: { weight_D: Tensor; bias_D: Tensor },
  eps: number,
): { y_TD: Tensor; stats_T2: Tensor } {
  const mean_T1 = tf.mean(x_TD, 1, true);
  const centred = tf.sub(x_TD, mean_T1);
  const rstd_T1 = tf.rsqrt(tf.add(tf.mean(tf.square(centred), 1, true), eps));
  const y_TD = tf.add(tf.mul(tf.mul(centred, rstd_T1), weight_D), bias_D);
  return { y_TD, stats_T2: tf.concat([mean_T1, rstd_T1], 1) };
}

/** With g = dy·weight:  dx = rstd · (g − mean(g) − x̂ · mean(g·x̂)). */
export function layerNormBackward(
  { tf }: Maths,
  input: { dy_TD: Tensor; x_TD: Tensor; weight_D: Tensor; stats_T2: Tensor },
): Tensor {
  const { dy_TD, x_TD, weight_D, stats_T2 } = input;
  const [T = 0] = x_TD.shape;
  const [mean_T1, rstd_T1] = [tf.slice(stats_T2, [0, 0], [T, 1]), tf.slice(stats_T2, [0, 1], [T, 1])];
  const unit = tf.mul(tf.sub(x_TD, mean_T1), rstd_T1);
  const g = tf.mul(dy_TD, weight_D);
  const flow = tf.sub(tf.sub(g, tf.mean(g, 1, true)), tf.mul(unit, tf.mean(tf.mul(g, unit), 1, true)));
  return tf.mul(rstd_T1, flow);
}
