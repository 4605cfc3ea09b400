/**
 * Causal grouped-query attention over packed sequences, with an optional sliding window (Mistral, arXiv:2310.06825 §2).
 *
 *   o_TQ[t, h] = Σ_j p[j] · v[j, g(h)],   p = softmax_j≤t(q[t, h]·k[j, g(h)] / √d),   g(h) = floor(h · G / H)
 *
 * Without the mask, j runs over the whole sequence of t. Query head h reads key/value head g(h): transformers' repeat_kv. A query sees only tokens of its own sequence.
 * A soft cap makes cap · tanh(s/cap) of each score s (Gemma 2, arXiv:2408.00118 §2). Backward recomputes p row by row, so no T × T matrix is kept.
 */
import type { AttentionSize } from "../engine/engine.ts";
import { checkLengths } from "../shape.ts";
import { attentionWeights, type KeyRun, weightedValues } from "./attend.ts";

/** Row of the first key that a query at `row` of a sequence sees. */
const firstKey = (row: number, window: number) => (window > 0 ? Math.max(0, row - window + 1) : 0);

export function attentionForward(
  out: { o_TQ: Float32Array; lse_TH: Float32Array },
  input: { qkv_TX: Float32Array; cuSeqlens: Int32Array },
  { T, H, G, d, cap, window, skips_S, causal = true }: AttentionSize & { causal?: boolean },
): void {
  const { o_TQ, lse_TH } = out;
  const { qkv_TX, cuSeqlens } = input;
  checkLengths({ qkv_TX }, { T, heads: H + 2 * G, d });
  checkLengths({ o_TQ }, { T, H, d });
  checkLengths({ lse_TH }, { T, H });
  const X = (H + 2 * G) * d;
  const p = new Float64Array(T);
  const o = new Float64Array(d);
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    for (let t = cuSeqlens[s] + (skips_S?.[s] ?? 0); t < cuSeqlens[s + 1]; t++) {
      const first = cuSeqlens[s] + (causal ? firstKey(t - cuSeqlens[s], window) : 0);
      const end = causal ? t + 1 : cuSeqlens[s + 1];
      for (let h = 0; h < H; h++) {
        const run = keysOf(qkv_TX, first, end - first, Math.floor((h * G) / H), { H, G, d });
        lse_TH[t * H + h] = attentionWeights(p, qkv_TX, t * X + h * d, run, { d, cap });
        weightedValues(o, p, run, d);
        for (let i = 0; i < d; i++) o_TQ[(t * H + h) * d + i] = o[i];
      }
    }
  }
}

/**
 * With dp[j] = do·v[j], δ = do·o and s' the slope of scores (1/√d, less under a cap):
 *   dv[j] += p[j]·do,  ds[j] = p[j]·(dp[j] − δ)·s'[j],  dq = Σ ds[j]·k[j],  dk[j] += ds[j]·q.
 * Sums over queries run in float64 in token order and round once.
 */
export function attentionBackward(
  grad: { dqkv_TX: Float32Array },
  input: {
    do_TQ: Float32Array;
    qkv_TX: Float32Array;
    o_TQ: Float32Array;
    cuSeqlens: Int32Array;
  },
  { T, H, G, d, cap, window, skips_S }: AttentionSize,
): void {
  const { dqkv_TX } = grad;
  const { do_TQ, qkv_TX, o_TQ, cuSeqlens } = input;
  checkLengths({ qkv_TX, dqkv_TX }, { T, heads: H + 2 * G, d });
  checkLengths({ do_TQ, o_TQ }, { T, H, d });
  const X = (H + 2 * G) * d;
  const p = new Float64Array(T);
  const slopes = new Float64Array(T);
  const sums = new Float64Array(T * X);
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    for (let t = cuSeqlens[s] + (skips_S?.[s] ?? 0); t < cuSeqlens[s + 1]; t++) {
      const first = cuSeqlens[s] + firstKey(t - cuSeqlens[s], window);
      for (let h = 0; h < H; h++) {
        const run = keysOf(qkv_TX, first, t + 1 - first, Math.floor((h * G) / H), { H, G, d });
        const qAt = t * X + h * d;
        const oAt = (t * H + h) * d;
        attentionWeights(p, qkv_TX, qAt, run, { d, cap }, slopes);
        let delta = 0;
        for (let i = 0; i < d; i++) delta += do_TQ[oAt + i] * o_TQ[oAt + i];
        for (let j = 0, key = run.key, value = run.value; j < run.length; j++, key += X, value += X) {
          let dp = 0;
          for (let i = 0; i < d; i++) {
            dp += do_TQ[oAt + i] * qkv_TX[value + i];
            sums[value + i] += p[j] * do_TQ[oAt + i];
          }
          const ds = p[j] * (dp - delta) * slopes[j];
          for (let i = 0; i < d; i++) {
            sums[qAt + i] += ds * qkv_TX[key + i];
            sums[key + i] += ds * qkv_TX[qAt + i];
          }
        }
      }
    }
  }
  dqkv_TX.set(sums);
}

/** Forward over kept keys and values: `caches[s]` holds `starts[s]` tokens before this call and gets the new ones appended. */
export function cachedAttentionForward(
  out: { o_TQ: Float32Array },
  input: {
    qkv_TX: Float32Array;
    cuSeqlens: Int32Array;
    caches: readonly { readonly data: Float32Array; readonly capacity: number }[];
    starts: Int32Array;
  },
  { T, H, G, d, cap, window }: AttentionSize,
): void {
  const { o_TQ } = out;
  const { qkv_TX, cuSeqlens, caches, starts } = input;
  checkLengths({ qkv_TX }, { T, heads: H + 2 * G, d });
  checkLengths({ o_TQ }, { T, H, d });
  checkLengths({ caches, starts }, { sequences: cuSeqlens.length - 1 });
  const X = (H + 2 * G) * d;
  const Y = 2 * G * d;
  const o = new Float64Array(d);
  for (const [s, { data, capacity }] of caches.entries()) {
    const begin = cuSeqlens[s];
    const length = starts[s] + cuSeqlens[s + 1] - begin;
    if (length > capacity) throw new RangeError(`Cannot keep ${length} tokens: the cache was made for ${capacity}`);
    const p = new Float64Array(length);
    for (let t = begin; t < cuSeqlens[s + 1]; t++) {
      const row = starts[s] + t - begin;
      data.set(qkv_TX.subarray(t * X + H * d, (t + 1) * X), row * Y);
      const first = firstKey(row, window);
      for (let h = 0; h < H; h++) {
        const key = first * Y + Math.floor((h * G) / H) * d;
        const run = { data, key, value: key + G * d, stride: Y, length: row + 1 - first };
        attentionWeights(p, qkv_TX, t * X + h * d, run, { d, cap });
        weightedValues(o, p, run, d);
        for (let i = 0; i < d; i++) o_TQ[(t * H + h) * d + i] = o[i];
      }
    }
  }
}

function keysOf(
  qkv_TX: Float32Array,
  first: number,
  length: number,
  head: number,
  { H, G, d }: Pick<AttentionSize, "H" | "G" | "d">,
): KeyRun {
  const stride = (H + 2 * G) * d;
  const key = first * stride + (H + head) * d;
  return { data: qkv_TX, key, value: key + G * d, stride, length };
}
