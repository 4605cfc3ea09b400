/**
 * Forward operations once more, written straight from their formulas in float64 over plain arrays, sharing nothing with the
 * engines. Gradients are judged by finite differences of these, so nobody's derivation is trusted.
 */
import type { AttentionSize } from "../src/engine/engine.ts";

export type Numbers = Float64Array;

const dot = (a: Numbers, b: Numbers) => a.reduce((sum, x, i) => sum + x * b[i], 0);
const slice = (a: Numbers, at: number, length: number) => a.subarray(at, at + length);

function softmax(scores: readonly number[]): number[] {
  const exps = scores.map((s) => Math.exp(s - Math.max(...scores)));
  const total = exps.reduce((a, b) => a + b, 0);
  return exps.map((e) => e / total);
}

export function linear(x: Numbers, w: Numbers, { T, N, K }: { T: number; N: number; K: number }): Numbers {
  return Float64Array.from({ length: T * N }, (_, i) => {
    const [t, n] = [Math.floor(i / N), i % N];
    return dot(slice(x, t * K, K), slice(w, n * K, K));
  });
}

export function rmsNorm(x: Numbers, w: Numbers, { T, D, eps }: { T: number; D: number; eps: number }): Numbers {
  return Float64Array.from({ length: T * D }, (_, i) => {
    const row = slice(x, i - (i % D), D);
    return (x[i] / Math.sqrt(dot(row, row) / D + eps)) * w[i % D];
  });
}

export function layerNorm(
  x: Numbers,
  { w, b }: { w: Numbers; b: Numbers },
  { T, D, eps }: { T: number; D: number; eps: number },
): Numbers {
  return Float64Array.from({ length: T * D }, (_, i) => {
    const row = slice(x, i - (i % D), D);
    const mean = row.reduce((sum, v) => sum + v, 0) / D;
    const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / D;
    return ((x[i] - mean) / Math.sqrt(variance + eps)) * w[i % D] + b[i % D];
  });
}

export function gelu(x: Numbers): Numbers {
  return x.map((a) => 0.5 * a * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (a + 0.044715 * a ** 3))));
}

export function geglu(gateUp: Numbers, { T, F }: { T: number; F: number }): Numbers {
  const gates = gelu(gateUp);
  return Float64Array.from({ length: T * F }, (_, i) => {
    const at = Math.floor(i / F) * 2 * F + (i % F);
    return gates[at] * gateUp[at + F];
  });
}

export function swiglu(gateUp: Numbers, { T, F }: { T: number; F: number }): Numbers {
  return Float64Array.from({ length: T * F }, (_, i) => {
    const at = Math.floor(i / F) * 2 * F + (i % F);
    return (gateUp[at] / (1 + Math.exp(-gateUp[at]))) * gateUp[at + F];
  });
}

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

export function attention(qkv: Numbers, cuSeqlens: Int32Array, { T, H, G, d, window }: AttentionSize): Numbers {
  const out = new Float64Array(T * H * d);
  const head = (t: number, index: number) => slice(qkv, (t * (H + 2 * G) + index) * d, d);
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    for (let t = cuSeqlens[s]; t < cuSeqlens[s + 1]; t++) {
      for (let h = 0; h < H; h++) {
        const g = Math.floor(h / (H / G));
        const seen: number[] = [];
        for (let j = cuSeqlens[s]; j <= t; j++) if (window === 0 || t - j < window) seen.push(j);
        const p = softmax(seen.map((j) => dot(head(t, h), head(j, H + g)) / Math.sqrt(d)));
        for (const [n, j] of seen.entries()) {
          for (let i = 0; i < d; i++) out[(t * H + h) * d + i] += p[n] * head(j, H + G + g)[i];
        }
      }
    }
  }
  return out;
}

export function promptAttention(
  input: { o: Numbers; qkv: Numbers; kv: Numbers; gate: Numbers },
  { T, H, G, d, K }: AttentionSize & { K: number },
): Numbers {
  const out = input.o.slice();
  for (let t = 0; t < T; t++) {
    for (let h = 0; h < H; h++) {
      const g = Math.floor(h / (H / G));
      const q = slice(input.qkv, (t * (H + 2 * G) + h) * d, d);
      const prompts = Array.from({ length: K }, (_, j) => j);
      const p = softmax(prompts.map((j) => dot(q, slice(input.kv, (j * 2 * G + g) * d, d)) / Math.sqrt(d)));
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
  { R, D, V }: { R: number; D: number; V: number },
): Numbers {
  const z = linear(y, head, { T: R, N: V, K: D });
  return Float64Array.from(labels, (label, r) => -Math.log(softmax([...slice(z, r * V, V)])[label]));
}
