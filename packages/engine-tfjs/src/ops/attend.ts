/**
 * Softmax attention of query heads over keys, forward and backward. Queries are `[n, H, d]`, keys and values `[m, G, d]`; query
 * heads of one group share a key head, so the scores of a group are one product of `[H/G · n, d]` and `[m, d]`.
 *
 *   p = softmax(cap(q·kᵀ/√d) + mask),  o = p·v,  lse = logΣexp,  cap(s) = s or, under a soft cap, cap · tanh(s/cap)
 *   dv = pᵀ·do,  dp = do·vᵀ,  dz = p ∘ (dp − Σ p∘dp) ∘ cap',  dq = dz·k/√d,  dk = dzᵀ·q/√d
 */
import type { Maths, Tensor } from "../tf.ts";

export interface HeadSize {
  readonly H: number;
  readonly G: number;
  readonly d: number;
  readonly cap?: number | undefined;
}

interface Keys {
  readonly k: Tensor;
  readonly v: Tensor;
  /** `[n, m]`, 0 or far below every score; none if all keys are seen. */
  readonly mask: Tensor | undefined;
}

/** `[n, H, d]` as `[G, H/G · n, d]`. */
function grouped({ tf }: Maths, x_nHd: Tensor, groups: number): Tensor {
  const [n = 0, heads = 0, d = 0] = x_nHd.shape;
  return tf.reshape(tf.transpose(x_nHd, [1, 0, 2]), [groups, (heads / groups) * n, d]);
}

/** Back from `grouped`. */
function ungrouped({ tf }: Maths, x: Tensor, [n, heads, d]: readonly [number, number, number]): Tensor {
  return tf.transpose(tf.reshape(x, [heads, n, d]), [1, 0, 2]);
}

/** Scaled queries `[G, H/G · n, d]`, keys and values `[G, m, d]`, scores `[H, n, m]`, and their tanh under a cap. */
function scores(maths: Maths, q: Tensor, { k, v, mask }: Keys, { H, G, d, cap }: HeadSize) {
  const { tf, products } = maths;
  const [n = 0] = q.shape;
  const [m = 0] = k.shape;
  const queries = grouped(maths, tf.mul(q, 1 / Math.sqrt(d)), G);
  const [keys, values] = [grouped(maths, k, G), grouped(maths, v, G)];
  const plain = tf.reshape(products.batched(queries, keys, false, true), [H, n, m]);
  const share = cap ? tf.tanh(tf.div(plain, cap)) : undefined;
  const z = share && cap ? tf.mul(share, cap) : plain;
  return { queries, keys, values, share, z_Hnm: mask ? tf.add(z, mask) : z };
}

export function attend(maths: Maths, q: Tensor, keys: Keys, size: HeadSize): { o_nHd: Tensor; lse_Hn1: Tensor } {
  const { tf, products } = maths;
  const { H, G, d } = size;
  const [n = 0] = q.shape;
  const [m = 0] = keys.k.shape;
  const { values, z_Hnm } = scores(maths, q, keys, size);
  const max = tf.max(z_Hnm, 2, true);
  const exp = tf.exp(tf.sub(z_Hnm, max));
  const sum = tf.sum(exp, 2, true);
  const p = tf.reshape(tf.div(exp, sum), [G, (H / G) * n, m]);
  const o_nHd = ungrouped(maths, products.batched(p, values), [n, H, d]);
  return { o_nHd, lse_Hn1: tf.add(max, tf.log(sum)) };
}

export function attendBackward(
  maths: Maths,
  input: { do_nHd: Tensor; q: Tensor; lse_Hn1: Tensor },
  keys: Keys,
  size: HeadSize,
): { dq: Tensor; dk: Tensor; dv: Tensor } {
  const { tf, products } = maths;
  const { H, G, d } = size;
  const { do_nHd, q, lse_Hn1 } = input;
  const [n = 0] = q.shape;
  const [m = 0] = keys.k.shape;
  const s = scores(maths, q, keys, size);
  const p_Hnm = tf.exp(tf.sub(s.z_Hnm, lse_Hn1));
  const dO = grouped(maths, do_nHd, G);
  const dp_Hnm = tf.reshape(products.batched(dO, s.values, false, true), [H, n, m]);
  const mean = tf.sum(tf.mul(p_Hnm, dp_Hnm), 2, true);
  const dcapped = tf.mul(p_Hnm, tf.sub(dp_Hnm, mean));
  const dz_Hnm = s.share ? tf.mul(dcapped, tf.sub(1, tf.square(s.share))) : dcapped;
  const dz = tf.reshape(dz_Hnm, [G, (H / G) * n, m]);
  const p = tf.reshape(p_Hnm, [G, (H / G) * n, m]);
  const dq = tf.mul(products.batched(dz, s.keys), 1 / Math.sqrt(d));
  return {
    dq: ungrouped(maths, dq, [n, H, d]),
    dk: ungrouped(maths, products.batched(dz, s.queries, true), [m, G, d]),
    dv: ungrouped(maths, products.batched(p, dO, true), [m, G, d]),
  };
}
