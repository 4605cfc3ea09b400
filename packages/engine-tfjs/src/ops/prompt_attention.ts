/**
 * Zero-init attention of LLaMA-Adapter (arXiv:2303.16199 §3.2):  y = o + gate · c,  c = softmax(q·kpᵀ/√d)·vp, a softmax of its
 * own, no mask. The gate is the effective one of each query head.
 *
 *   dgate = Σ_t do·c,  and with do' = gate·do:  dvp, dkp, dq as of any attention.
 */
import type { AttentionSize, PromptSet } from "@zerogate/core/engine";
import { type Maths, part, type Tensor } from "../tf.ts";
import { attend, attendBackward } from "./attend.ts";

export interface PromptInput {
  /** `[T, H+2G, d]`. */
  readonly qkv: Tensor;
  /** `[K, 2G, d]`. */
  readonly kv: Tensor;
  readonly gate_H: Float32Array;
}

/** `o` is `[T, H, d]`. A head whose gate is 0 keeps its bits. */
export function promptAttention(maths: Maths, o: Tensor, input: PromptInput, size: AttentionSize): Tensor {
  const { tf } = maths;
  const { gate_H } = input;
  if (gate_H.every((gate) => gate === 0)) return tf.clone(o);
  const { o_nHd } = attend(maths, queriesOf(maths, input, size), promptsOf(maths, input, size), size);
  const y = tf.add(o, tf.mul(o_nHd, tf.tensor2d(gate_H, [size.H, 1])));
  if (gate_H.every((gate) => gate !== 0)) return y;
  return tf.concat(
    Array.from(gate_H, (gate, h) => part(tf, gate === 0 ? o : y, 1, h, h + 1)),
    1,
  );
}

/**
 * Sets of one prompt each, as images are, all at once. The weight of a single prompt is 1, so a token gets its value times the gate:
 * the bits of one set after the other.
 */
export function singlePrompts(
  { tf }: Maths,
  o_THd: Tensor,
  { values_SGd, sets }: { readonly values_SGd: Tensor; readonly sets: readonly PromptSet[] },
  { T, H, G, d }: AttentionSize,
): Tensor {
  const gates_SH = new Float32Array((sets.length + 1) * H); // a last row of zeros for tokens of no set
  const rowOf_T = new Int32Array(T).fill(sets.length);
  for (const [s, { gate_H, tokens }] of sets.entries()) {
    gates_SH.set(gate_H, s * H);
    rowOf_T.fill(s, ...tokens);
  }
  const headOf_H = tf.tensor1d(
    Int32Array.from({ length: H }, (_, h) => Math.floor((h * G) / H)),
    "int32",
  );
  const gates_SH1 = tf.tensor3d(gates_SH, [sets.length + 1, H, 1]);
  const values_SHd = tf.concat([tf.gather(values_SGd, headOf_H, 1), tf.zeros([1, H, d])]);
  const rows_T = tf.tensor1d(rowOf_T, "int32");
  const y = tf.add(o_THd, tf.gather(tf.mul(values_SHd, gates_SH1), rows_T));
  return tf.where(tf.notEqual(tf.gather(gates_SH1, rows_T), 0), y, o_THd);
}

/** `dq` is `[T, H, d]`, `dkv` `[K, 2G, d]`, `dgate` `[H]`: of the effective gate. */
export function promptAttentionBackward(
  maths: Maths,
  do_THd: Tensor,
  input: PromptInput,
  size: AttentionSize,
): { dq: Tensor; dkv: Tensor; dgate: Tensor } {
  const { tf } = maths;
  const gate = tf.tensor2d(input.gate_H, [size.H, 1]);
  const [q, prompts] = [queriesOf(maths, input, size), promptsOf(maths, input, size)];
  const { o_nHd, lse_Hn1 } = attend(maths, q, prompts, size);
  const dgate = tf.sum(tf.sum(tf.mul(do_THd, o_nHd), 2), 0);
  const { dq, dk, dv } = attendBackward(maths, { do_nHd: tf.mul(do_THd, gate), q, lse_Hn1 }, prompts, size);
  return { dq, dkv: tf.concat([dk, dv], 1), dgate };
}

const queriesOf = ({ tf }: Maths, { qkv }: PromptInput, { H }: AttentionSize): Tensor => part(tf, qkv, 1, 0, H);

function promptsOf({ tf }: Maths, { kv }: PromptInput, { G }: AttentionSize) {
  return { k: part(tf, kv, 1, 0, G), v: part(tf, kv, 1, G, 2 * G), mask: undefined };
}
