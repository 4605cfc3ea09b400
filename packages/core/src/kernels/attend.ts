/**
 * One query over a run of keys: the inner loop of causal, cached and prompt attention, so that all three round alike
 * (a cached decode gives the bits of a full forward).
 */
import type { AttentionSize } from "../engine/engine.ts";

/** Keys and values of one head: row j of the run starts at `key + j·stride` and `value + j·stride` in `data`. */
export interface KeyRun {
  readonly data: Float32Array;
  readonly key: number;
  readonly value: number;
  readonly stride: number;
  readonly length: number;
}

/**
 * Fills `p` with softmax(s) over the run (float64, maximum subtracted) and returns the log-sum-exp of the scores s = q·kᵀ/√d, or
 * cap · tanh(q·kᵀ/√d/cap) under a soft cap. `p` must hold at least `run.length` numbers, and so must `slopes` if it is given: it gets
 * ds / d(q·k), which is 1/√d without a cap.
 */
export function attentionWeights(
  p: Float64Array,
  q: Float32Array,
  qAt: number,
  run: KeyRun,
  { d, cap = 0 }: Pick<AttentionSize, "d" | "cap">,
  slopes?: Float64Array,
): number {
  const { data, key, stride, length } = run;
  const scale = 1 / Math.sqrt(d);
  let max = -Infinity;
  for (let j = 0, at = key; j < length; j++, at += stride) {
    let score = 0;
    for (let i = 0; i < d; i++) score += q[qAt + i] * data[at + i];
    p[j] = score * scale;
    let slope = scale;
    if (cap > 0) {
      const share = Math.tanh(p[j] / cap);
      p[j] = cap * share;
      slope *= 1 - share * share;
    }
    if (slopes) slopes[j] = slope;
    if (p[j] > max) max = p[j];
  }
  let sum = 0;
  for (let j = 0; j < length; j++) sum += p[j] = Math.exp(p[j] - max);
  for (let j = 0; j < length; j++) p[j] /= sum;
  return max + Math.log(sum);
}

/** `out[i] = Σ_j p[j] · v[j, i]`. */
export function weightedValues(out: Float64Array, p: Float64Array, run: KeyRun, d: number): void {
  const { data, value, stride, length } = run;
  out.fill(0, 0, d);
  for (let j = 0, at = value; j < length; j++, at += stride) {
    const weight = p[j];
    for (let i = 0; i < d; i++) out[i] += weight * data[at + i];
  }
}
