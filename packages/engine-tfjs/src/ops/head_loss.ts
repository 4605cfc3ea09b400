/**
 * Output head and cross-entropy of labelled tokens, in chunks of rows: a `[T, V]` matrix never exists.
 *
 *   nll[r] = logΣ_v exp(z[r, v]) − z[r, label[r]],   z = y·headᵀ, or cap · tanh(y·headᵀ/cap) under a soft cap
 *   hit[r] = 1 if label[r] is the lowest id of the largest logit, else 0
 *   dy[r] = scale · ((softmax(z[r]) − onehot(label[r])) ∘ z'[r])·head,   z' = 1, or 1 − (z/cap)²
 */
import { cellsOfLoss, type LossCell } from "@zerogate/core/engine";
import type { Maths, Tensor } from "../tf.ts";

/** Logits held at a time, as far as one row allows it: 16 MB. */
const MAX_LOGITS = 2 ** 22;

export interface LossResult {
  readonly nll_R: Tensor;
  readonly hit_R: Tensor;
  readonly dy_RD?: Tensor;
}

export function headLoss(
  maths: Maths,
  y_RD: Tensor,
  head_VD: Tensor,
  labels_R: Int32Array,
  { cells, cap }: { cells?: readonly LossCell[] | undefined; cap?: number | undefined },
): LossResult {
  const { tf } = maths;
  const [R = 0, D = 0] = y_RD.shape;
  const [V = 0] = head_VD.shape;
  const rows = Math.max(1, Math.floor(MAX_LOGITS / V));
  const chunks: LossResult[] = [];
  let end = 0;
  for (const cell of cellsOfLoss(R, cells)) {
    let from = end;
    end += cell.R;
    for (; from < end; from += rows) {
      const to = Math.min(end, from + rows);
      const y = tf.slice(y_RD, [from, 0], [to - from, D]);
      const labels = labels_R.slice(from, to);
      chunks.push(tf.tidy(() => ({ ...chunkLoss(maths, y, head_VD, labels, { scale: cell.scale, cap }) })));
    }
  }
  if (chunks.length === 0) {
    const none = { nll_R: tf.zeros([0]), hit_R: tf.zeros([0]) };
    return cells === undefined ? none : { ...none, dy_RD: tf.zeros([0, D]) };
  }
  const joined = (pick: (chunk: LossResult) => Tensor) => tf.concat(chunks.map(pick));
  const losses = { nll_R: joined(({ nll_R }) => nll_R), hit_R: joined(({ hit_R }) => hit_R) };
  return cells === undefined ? losses : { ...losses, dy_RD: joined(({ dy_RD }) => dy_RD as Tensor) };
}

function chunkLoss(
  { tf, products }: Maths,
  y_RD: Tensor,
  head_VD: Tensor,
  labels_R: Int32Array,
  { scale, cap }: { scale: number | undefined; cap: number | undefined },
): LossResult {
  const R = labels_R.length;
  const [V = 0] = head_VD.shape;
  const plain_RV = products.linear(y_RD, head_VD);
  const share_RV = cap ? tf.tanh(tf.div(plain_RV, cap)) : undefined;
  const z_RV = share_RV && cap ? tf.mul(share_RV, cap) : plain_RV;
  const max_R1 = tf.max(z_RV, 1, true);
  const exp_RV = tf.exp(tf.sub(z_RV, max_R1));
  const sum_R1 = tf.sum(exp_RV, 1, true);
  const places = tf.tensor1d(
    labels_R.map((label, r) => r * V + label),
    "int32",
  );
  const own_R = tf.gather(tf.reshape(z_RV, [-1]), places);
  const nll_R = tf.sub(tf.reshape(tf.add(max_R1, tf.log(sum_R1)), [R]), own_R);

  // Backends break ties of argMax as they like: the largest of V − id over the largest logits is that of the lowest id.
  const rank_V = tf.sub(V, tf.range(0, V, 1, "float32"));
  const best_R = tf.max(tf.mul(tf.cast(tf.equal(z_RV, max_R1), "float32"), rank_V), 1);
  const ranks_R = tf.tensor1d(Float32Array.from(labels_R, (label) => V - label));
  const hit_R = tf.cast(tf.equal(best_R, ranks_R), "float32");
  if (scale === undefined) return { nll_R, hit_R };

  // Not tf.oneHot: in WebAssembly it writes integers into a float tensor.
  const ones = Int32Array.from({ length: 2 * R }, (_, i) => (i % 2 === 0 ? i / 2 : (labels_R[(i - 1) / 2] ?? 0)));
  const onehot_RV = tf.scatterND(tf.tensor2d(ones, [R, 2], "int32"), tf.ones([R]), [R, V]);
  const dcapped_RV = tf.sub(tf.div(exp_RV, sum_R1), onehot_RV);
  const dz_RV = share_RV ? tf.mul(dcapped_RV, tf.sub(1, tf.square(share_RV))) : dcapped_RV;
  return { nll_R, hit_R, dy_RD: tf.mul(products.linearBackward(dz_RV, head_VD), scale) };
}
