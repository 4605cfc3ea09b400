/**
 * Attention without a mask over float64 activations, of the first R rows of a sequence to all T of them.
 *
 *   o[r, h] = Σ_t p[t]·v[t, h],   p = softmax_t(q[r, h]·k[t, h] / √d)
 *   dv[t] += p[t]·do,   dz[t] = p[t]·(do·v[t] − Σ_m p[m]·do·v[m]) / √d,   dq += Σ_t dz[t]·k[t],   dk[t] += dz[t]·q
 *
 * A row of `qkv` has queries, keys and values of all heads, E = H·d numbers each. The probabilities are computed again in
 * backward.
 */
import { checkLengths } from "../shape.ts";

type Size = { readonly T: number; readonly R: number; readonly H: number; readonly d: number };

/** Returns `o_RE`. */
export function wideAttention(qkv_T3E: Float64Array, { T, R, H, d }: Size): Float64Array {
  const E = H * d;
  checkLengths({ qkv_T3E }, { T, three: 3, E });
  const o_RE = new Float64Array(R * E);
  const p = new Float64Array(T);
  for (let h = 0; h < H; h++) {
    for (let r = 0; r < R; r++) {
      const q = 3 * E * r + h * d;
      probabilities(p, qkv_T3E, q, E + h * d, { T, E, d });
      const o = r * E + h * d;
      for (let t = 0, v = 2 * E + h * d; t < T; t++, v += 3 * E) {
        for (let i = 0; i < d; i++) o_RE[o + i] += p[t] * qkv_T3E[v + i];
      }
    }
  }
  return o_RE;
}

/** Returns `dqkv_T3E`. */
export function wideAttentionBackward(
  { do_RE, qkv_T3E }: { do_RE: Float64Array; qkv_T3E: Float64Array },
  { T, R, H, d }: Size,
): Float64Array {
  const E = H * d;
  checkLengths({ do_RE }, { R, E });
  checkLengths({ qkv_T3E }, { T, three: 3, E });
  const dqkv_T3E = new Float64Array(T * 3 * E);
  const [p, dp] = [new Float64Array(T), new Float64Array(T)];
  const scale = 1 / Math.sqrt(d);
  for (let h = 0; h < H; h++) {
    for (let r = 0; r < R; r++) {
      const [q, o] = [3 * E * r + h * d, r * E + h * d];
      probabilities(p, qkv_T3E, q, E + h * d, { T, E, d });
      let mean = 0;
      for (let t = 0, v = 2 * E + h * d; t < T; t++, v += 3 * E) {
        let dot = 0;
        for (let i = 0; i < d; i++) {
          dot += do_RE[o + i] * qkv_T3E[v + i];
          dqkv_T3E[v + i] += p[t] * do_RE[o + i];
        }
        dp[t] = dot;
        mean += p[t] * dot;
      }
      for (let t = 0, k = E + h * d; t < T; t++, k += 3 * E) {
        const dz = p[t] * (dp[t] - mean) * scale;
        for (let i = 0; i < d; i++) {
          dqkv_T3E[q + i] += dz * qkv_T3E[k + i];
          dqkv_T3E[k + i] += dz * qkv_T3E[q + i];
        }
      }
    }
  }
  return dqkv_T3E;
}

/** Fills `p` with the softmax of one query over the keys of its head, the largest score subtracted. */
function probabilities(
  p: Float64Array,
  qkv_T3E: Float64Array,
  q: number,
  firstKey: number,
  { T, E, d }: { T: number; E: number; d: number },
): void {
  const scale = 1 / Math.sqrt(d);
  let max = -Infinity;
  for (let t = 0, k = firstKey; t < T; t++, k += 3 * E) {
    let score = 0;
    for (let i = 0; i < d; i++) score += qkv_T3E[q + i] * qkv_T3E[k + i];
    p[t] = score * scale;
    if (p[t] > max) max = p[t];
  }
  let sum = 0;
  for (let t = 0; t < T; t++) sum += p[t] = Math.exp(p[t] - max);
  for (let t = 0; t < T; t++) p[t] /= sum;
}
