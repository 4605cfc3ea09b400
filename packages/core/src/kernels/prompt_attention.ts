/**
 * Zero-init attention of LLaMA-Adapter (arXiv:2303.16199 §3.2), as PEFT computes it: the prompts have a softmax of their own,
 * no mask and no rotation, and their part is multiplied by the gate of the head.
 *
 *   y_TQ[t, h] = o_TQ[t, h] + gate[h] · c[t, h],   c = Σ_j S[j] · vp[j, g(h)],   S = softmax_j(q[t, h]·kp[j, g(h)] / √d)
 *
 * Scores are those of the layer: under its soft cap too, if it has one. The paper divides by √C; every implementation divides by √d, and so do we. `gate_H` is the effective gate: any sharing
 * and activation the adapter declares was applied before.
 */
import type { AttentionSize, RowRange } from "../engine/engine.ts";
import { checkLengths } from "../shape.ts";
import { attentionWeights, type KeyRun, weightedValues } from "./attend.ts";

/** Keys and values of one set, and the tokens that attend to them. */
export interface PromptRange {
  readonly kv_KY: Float32Array;
  readonly gate_H: Float32Array;
  readonly tokens: RowRange;
}

type PromptAttentionSize = AttentionSize & { readonly K: number };

/** Adds what one set of prompts gives its tokens to `y_TQ`, which holds `o_TQ`. */
export function promptAttentionForward(
  out: { y_TQ: Float32Array },
  { qkv_TX, kv_KY, gate_H, tokens: [from, to] }: PromptRange & { readonly qkv_TX: Float32Array },
  { T, H, G, d, cap, K }: PromptAttentionSize,
): void {
  const { y_TQ } = out;
  checkLengths({ qkv_TX }, { T, heads: H + 2 * G, d });
  checkLengths({ y_TQ }, { T, H, d });
  checkLengths({ kv_KY }, { K, heads: 2 * G, d });
  checkLengths({ gate_H }, { H });
  const X = (H + 2 * G) * d;
  const p = new Float64Array(K);
  const c = new Float64Array(d);
  for (let h = 0; h < H; h++) {
    const gate = gate_H[h];
    if (gate === 0) continue; // not even the sign of a zero may change: gate 0 is the base, bit for bit
    const run = promptsOf(kv_KY, Math.floor((h * G) / H), { G, d, K });
    for (let t = from; t < to; t++) {
      attentionWeights(p, qkv_TX, t * X + h * d, run, { d, cap });
      weightedValues(c, p, run, d);
      const at = (t * H + h) * d;
      for (let i = 0; i < d; i++) y_TQ[at + i] += gate * c[i];
    }
  }
}

/**
 *   dgate[h] = Σ_t do·c,   dvp[j] += gate·S[j]·do,   dZ[j] = S[j]·(dS[j] − Σ_m S[m]·dS[m])·s'[j]  with  dS[j] = gate·do·vp[j],
 *   dkp[j] += dZ[j]·q,   dq += Σ_j dZ[j]·kp[j]
 * `dqkv_TX`, if given, gets dq added; it is left out for the lowest adapted layer, below which nothing needs a gradient.
 */
export function promptAttentionBackward(
  grad: { dkv_KY: Float32Array; dgate_H: Float32Array; dqkv_TX?: Float32Array | undefined },
  input: PromptRange & { readonly do_TQ: Float32Array; readonly qkv_TX: Float32Array },
  { T, H, G, d, cap, K }: PromptAttentionSize,
): void {
  const { dkv_KY, dgate_H, dqkv_TX } = grad;
  const { do_TQ, qkv_TX, kv_KY, gate_H, tokens } = input;
  checkLengths({ qkv_TX, ...(dqkv_TX && { dqkv_TX }) }, { T, heads: H + 2 * G, d });
  checkLengths({ do_TQ }, { T, H, d });
  checkLengths({ kv_KY, dkv_KY }, { K, heads: 2 * G, d });
  checkLengths({ gate_H, dgate_H }, { H });
  const X = (H + 2 * G) * d;
  const Y = 2 * G * d;
  const p = new Float64Array(K);
  const slopes = new Float64Array(K);
  const dS = new Float64Array(K);
  const dq = new Float64Array(d);
  const sums = new Float64Array(K * Y);
  for (let h = 0; h < H; h++) {
    const gate = gate_H[h];
    const run = promptsOf(kv_KY, Math.floor((h * G) / H), { G, d, K });
    let dgate = 0;
    for (let t = tokens[0]; t < tokens[1]; t++) {
      const qAt = t * X + h * d;
      const oAt = (t * H + h) * d;
      attentionWeights(p, qkv_TX, qAt, run, { d, cap }, slopes);
      let mean = 0;
      for (let j = 0, value = run.value; j < K; j++, value += Y) {
        let dot = 0;
        for (let i = 0; i < d; i++) {
          dot += do_TQ[oAt + i] * kv_KY[value + i];
          sums[value + i] += gate * p[j] * do_TQ[oAt + i];
        }
        dS[j] = dot;
        mean += p[j] * dot;
      }
      dgate += mean;
      dq.fill(0);
      for (let j = 0, key = run.key; j < K; j++, key += Y) {
        const dZ = gate * p[j] * (dS[j] - mean) * slopes[j];
        for (let i = 0; i < d; i++) {
          dq[i] += dZ * kv_KY[key + i];
          sums[key + i] += dZ * qkv_TX[qAt + i];
        }
      }
      if (dqkv_TX) for (let i = 0; i < d; i++) dqkv_TX[qAt + i] += dq[i];
    }
    dgate_H[h] = dgate;
  }
  dkv_KY.set(sums);
}

function promptsOf(kv_KY: Float32Array, head: number, { G, d, K }: { G: number; d: number; K: number }): KeyRun {
  return { data: kv_KY, key: head * d, value: (G + head) * d, stride: 2 * G * d, length: K };
}
