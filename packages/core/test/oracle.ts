/**
 * Forward operations a second time, written straight from their formulas in float64 over plain arrays, sharing nothing with the
 * engines. Gradients are judged by finite differences of these, so nobody's derivation is trusted.
 */
import type { AttentionSize, DeltaSize } from "../src/engine/engine.ts";

export type Numbers = Float64Array;

function dot(a: Numbers, b: Numbers): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
const slice = (a: Numbers, at: number, length: number) => a.subarray(at, at + length);

function softmax(scores: readonly number[]): number[] {
  const largest = Math.max(...scores);
  const exps = scores.map((s) => Math.exp(s - largest));
  const total = exps.reduce((a, b) => a + b, 0);
  return exps.map((e) => e / total);
}

export function linear(x: Numbers, w: Numbers, { T, N, K }: { T: number; N: number; K: number }): Numbers {
  return Float64Array.from({ length: T * N }, (_, i) => {
    const [t, n] = [Math.floor(i / N), i % N];
    return dot(slice(x, t * K, K), slice(w, n * K, K));
  });
}

const capped = (score: number, cap = 0) => (cap > 0 ? cap * Math.tanh(score / cap) : score);
const gelu = (a: number) => 0.5 * a * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (a + 0.044715 * a ** 3)));
const silu = (a: number) => a / (1 + Math.exp(-a));

/** Φ(a) as an integral of its density, by Simpson's rule. */
function normal(a: number): number {
  if (Math.abs(a) > 13) return a < 0 ? 0 : 1; // 6e-39 and less
  const steps = 2000;
  const h = a / steps;
  const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  let sum = density(0) + density(a);
  for (let i = 1; i < steps; i++) sum += (i % 2 === 0 ? 2 : 4) * density(i * h);
  return 0.5 + (sum * h) / 3;
}

/** `[T, F]` numbers of rows `[gate | up]`. */
function gated(gateUp: Numbers, { T, F }: FlatSize, unit: (a: number) => number): Numbers {
  return Float64Array.from({ length: T * F }, (_, i) => {
    const at = Math.floor(i / F) * 2 * F + (i % F);
    return unit(gateUp[at]) * gateUp[at + F];
  });
}

/** Arrays by their names in core's table, lists of rows too. */
export type FlatInput = Readonly<Record<string, Numbers>>;
export type FlatSize = Readonly<Record<string, number>>;

/** The first output of each flat operation that goes forward, by its name. */
export const flat: Readonly<Record<string, (input: FlatInput, size: FlatSize) => Numbers>> = {
  gatherRows: ({ x_TD, rows_R }, { D, R }) =>
    Float64Array.from({ length: R * D }, (_, i) => x_TD[rows_R[Math.floor(i / D)] * D + (i % D)]),
  splitColumns: ({ x_TX }, { A, X }) => x_TX.filter((_, i) => i % X < A),
  joinColumns: ({ a_TA, b_TB }, { T, A, B, X }) =>
    Float64Array.from({ length: T * X }, (_, i) => {
      const [t, column] = [Math.floor(i / X), i % X];
      return column < A ? a_TA[t * A + column] : b_TB[t * B + column - A];
    }),
  scaleRows: ({ x_TD, factor_T }, { D }) => x_TD.map((x, i) => factor_T[Math.floor(i / D)] * x),
  sigmoidGate: ({ x_TF, gate_TF }) => x_TF.map((x, i) => x / (1 + Math.exp(-gate_TF[i]))),
  addScaled: ({ x_TD, y_TD }, { factor }) => x_TD.map((x, i) => x + factor * y_TD[i]),
  rmsNorm: ({ x_TD, weight_D }, { D, eps }) =>
    x_TD.map((x, i) => {
      const row = slice(x_TD, i - (i % D), D);
      return (x / Math.sqrt(dot(row, row) / D + eps)) * weight_D[i % D];
    }),
  scaleShift: ({ u_TN, scale_SN, bias_SN, rowOf_T }, { N }) =>
    u_TN.map((u, i) => {
      const [s, n] = [rowOf_T[Math.floor(i / N)], i % N];
      return s < 0 ? u : scale_SN[s * N + n] * (u + bias_SN[s * N + n]);
    }),
  rmsNormBySet: ({ x_TD, weight_SD, rowOf_T }, { D, eps }) =>
    x_TD.map((x, i) => {
      const row = slice(x_TD, i - (i % D), D);
      return (x / Math.sqrt(dot(row, row) / D + eps)) * weight_SD[rowOf_T[Math.floor(i / D)] * D + (i % D)];
    }),
  rmsNormWeightBackward: ({ dy_TD, x_TD, rstd_T, rowOf_T }, { T, D, S }) =>
    Float64Array.from({ length: S * D }, (_, i) => {
      const [s, d] = [Math.floor(i / D), i % D];
      let sum = 0;
      for (let t = 0; t < T; t++) if (rowOf_T[t] === s) sum += dy_TD[t * D + d] * x_TD[t * D + d] * rstd_T[t];
      return sum;
    }),
  layerNorm: ({ x_TD, weight_D, bias_D }, { D, eps }) =>
    x_TD.map((x, i) => {
      const row = slice(x_TD, i - (i % D), D);
      const mean = row.reduce((sum, v) => sum + v, 0) / D;
      const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / D;
      return ((x - mean) / Math.sqrt(variance + eps)) * weight_D[i % D] + bias_D[i % D];
    }),
  swiglu: ({ gateUp }, size) => gated(gateUp, size, silu),
  geglu: ({ gateUp }, size) => gated(gateUp, size, gelu),
  gelu: ({ up_TF }) => up_TF.map(gelu),
  geluErf: ({ up_TF }) => up_TF.map((a) => a * normal(a)),
  geluQuick: ({ up_TF }) => up_TF.map((a) => a / (1 + Math.exp(-1.702 * a))),
  softCap: ({ x_TF }, { cap }) => x_TF.map((x) => capped(x, cap)),
};

export function rope(qkv: Numbers, cosSin: Numbers, { T, H, G, d }: AttentionSize): Numbers {
  const out = qkv.slice();
  for (let t = 0; t < T; t++) {
    for (let head = 0; head < H + G; head++) {
      const at = (t * (H + 2 * G) + head) * d;
      for (let i = 0; i < d; i++) {
        const pair = i < d / 2 ? -qkv[at + i + d / 2] : qkv[at + i - d / 2];
        const angle = t * d + (i % (d / 2));
        out[at + i] = qkv[at + i] * cosSin[angle] + pair * cosSin[angle + d / 2];
      }
    }
  }
  return out;
}

export function attention(
  qkv: Numbers,
  cuSeqlens: Int32Array,
  { T, H, G, d, cap, window, causal = true }: AttentionSize & { causal?: boolean },
): Numbers {
  const out = new Float64Array(T * H * d);
  const head = (t: number, index: number) => slice(qkv, (t * (H + 2 * G) + index) * d, d);
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    for (let t = cuSeqlens[s]; t < cuSeqlens[s + 1]; t++) {
      for (let h = 0; h < H; h++) {
        const g = Math.floor(h / (H / G));
        const seen: number[] = [];
        for (let j = cuSeqlens[s]; j < cuSeqlens[s + 1]; j++) {
          if (!causal || (j <= t && (window === 0 || t - j < window))) seen.push(j);
        }
        const q = head(t, h);
        const p = softmax(seen.map((j) => capped(dot(q, head(j, H + g)) / Math.sqrt(d), cap)));
        for (const [n, j] of seen.entries()) {
          const v = head(j, H + G + g);
          for (let i = 0; i < d; i++) out[(t * H + h) * d + i] += p[n] * v[i];
        }
      }
    }
  }
  return out;
}

export function promptAttention(
  input: { o: Numbers; qkv: Numbers; kv: Numbers; gate: Numbers },
  { T, H, G, d, cap, K }: AttentionSize & { K: number },
): Numbers {
  const out = input.o.slice();
  for (let t = 0; t < T; t++) {
    for (let h = 0; h < H; h++) {
      const g = Math.floor(h / (H / G));
      const q = slice(input.qkv, (t * (H + 2 * G) + h) * d, d);
      const prompts = Array.from({ length: K }, (_, j) => j);
      const scores = prompts.map((j) => dot(q, slice(input.kv, (j * 2 * G + g) * d, d)) / Math.sqrt(d));
      const p = softmax(scores.map((score) => capped(score, cap)));
      for (const j of prompts) {
        for (let i = 0; i < d; i++) {
          out[(t * H + h) * d + i] += input.gate[h] * p[j] * input.kv[(j * 2 * G + G + g) * d + i];
        }
      }
    }
  }
  return out;
}

export function headLoss(
  y: Numbers,
  head: Numbers,
  labels: Int32Array,
  { R, D, V, cap }: { R: number; D: number; V: number; cap?: number | undefined },
): Numbers {
  const z = linear(y, head, { T: R, N: V, K: D }).map((logit) => capped(logit, cap));
  return Float64Array.from(labels, (label, r) => -Math.log(softmax([...slice(z, r * V, V)])[label]));
}

/** Eq. 10 of arXiv:2412.06464 with whole matrices:  S_t = S_{t−1}·α(I − β k kᵀ) + β v kᵀ,  o_t = S_t q; S is [B, A]. */
export function gatedDelta(
  { x, gates, conv, rate, bias }: Readonly<Record<"x" | "gates" | "conv" | "rate" | "bias", Numbers>>,
  cuSeqlens: Int32Array,
  { keyHeads: J, valueHeads: N, keyDim: A, valueDim: B, taps }: DeltaSize,
): Numbers {
  const C = 2 * J * A + N * B;
  const out: number[] = [];
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    const states = Array.from({ length: N }, () => Array.from({ length: B }, () => Array.from({ length: A }, () => 0)));
    for (let t = cuSeqlens[s]; t < cuSeqlens[s + 1]; t++) {
      const u = Array.from({ length: C }, (_, c) => {
        let sum = 0;
        for (let back = 0; back < taps && t - back >= cuSeqlens[s]; back++)
          sum += conv[c * taps + taps - 1 - back] * x[(t - back) * C + c];
        return silu(sum);
      });
      for (let n = 0; n < N; n++) {
        const key = Math.floor(n / (N / J));
        const unit = (at: number) => {
          const own = u.slice(at, at + A);
          const length = Math.sqrt(own.reduce((sum, value) => sum + value ** 2, 1e-6));
          return own.map((value) => value / length);
        };
        const [q, k, v] = [unit(key * A), unit((J + key) * A), u.slice(2 * J * A + n * B, 2 * J * A + (n + 1) * B)];
        const beta = 1 / (1 + Math.exp(-gates[t * 2 * N + n]));
        const alpha = Math.exp(-Math.exp(rate[n]) * Math.log(1 + Math.exp(gates[t * 2 * N + N + n] + bias[n])));
        states[n] = states[n].map((row, j) =>
          row.map((_, i) => {
            const kept = row.reduce((sum, value, l) => sum + value * alpha * (Number(l === i) - beta * k[l] * k[i]), 0);
            return kept + beta * v[j] * k[i];
          }),
        );
        for (const row of states[n]) out.push(row.reduce((sum, value, i) => sum + value * q[i], 0) / Math.sqrt(A));
      }
    }
  }
  return Float64Array.from(out);
}
