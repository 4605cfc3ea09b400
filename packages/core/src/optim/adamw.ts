/**
 * AdamW with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101), as torch.optim.AdamW computes it:
 *
 *   p ← p·(1 − lr·decay)      m ← β₁·m + (1−β₁)·g      v ← β₂·v + (1−β₂)·g²
 *   p ← p − lr · (m / (1−β₁ᵗ)) / (√v / √(1−β₂ᵗ) + eps)
 *
 * Parameters and moments are float32; each is computed in float64 and rounded once, on store.
 */
import type { AdapterLayout } from "../adapter/layout.ts";
import { checkLengths } from "../shape.ts";

/** Moments of a flat parameter vector, and how many steps were taken. Plain data: a checkpoint stores it as it is. */
export interface AdamWState {
  readonly m: Float32Array;
  readonly v: Float32Array;
  t: number;
}

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Covers the whole vector, see `decayRanges`. */
  readonly ranges: readonly DecayRange[];
}

/** A half-open range of the flat vector and its weight decay: what torch calls a parameter group. */
export interface DecayRange {
  readonly from: number;
  readonly to: number;
  readonly weightDecay: number;
}

/**
 * What decays. `all`: prompts and gates (plain torch, PEFT). `original`: tensors of more than one dimension, as in the
 * LLaMA-Adapter code: prompts and its per-head gates `[1, H, 1, 1]`, but not PEFT's scalar gate `[1]`. `none`: nothing.
 */
export type DecayPolicy = "all" | "original" | "none";

/** The ranges of an adapter under a policy, in order and without gaps. */
export function decayRanges(layout: AdapterLayout, policy: DecayPolicy, weightDecay: number): DecayRange[] {
  if (policy === "none") return [{ from: 0, to: layout.length, weightDecay: 0 }];
  if (policy === "all" || layout.gateSharing === "per-head") return [{ from: 0, to: layout.length, weightDecay }];
  return layout.places.flatMap(({ prompt, gate }) => [
    { from: prompt, to: gate, weightDecay },
    { from: gate, to: gate + layout.gateLength, weightDecay: 0 },
  ]);
}

/** The state before the first step. */
export function createAdamWState(length: number): AdamWState {
  return { m: new Float32Array(length), v: new Float32Array(length), t: 0 };
}

/** Arrays of one length; `params`, `m` and `v` are changed. */
export interface AdamWArrays {
  readonly params: Float32Array;
  readonly m: Float32Array;
  readonly v: Float32Array;
  readonly gradient: Float32Array;
}

/** One range of a step. `keep` is 1 − lr·decay, `stepSize` lr / (1−β₁ᵗ), `rootCorrection` √(1−β₂ᵗ). */
export interface AdamWUpdate extends Pick<AdamWOptions, "beta1" | "beta2" | "eps">, Pick<DecayRange, "from" | "to"> {
  readonly keep: number;
  readonly stepSize: number;
  readonly rootCorrection: number;
}

/**
 * Takes one step: changes `params` and `state` in place. Throws a RangeError where lengths differ.
 * @param update computes one range; a native one must give the bits of this one.
 */
export function adamWStep(
  params: Float32Array,
  gradient: Float32Array,
  state: AdamWState,
  learningRate: number,
  { beta1, beta2, eps, ranges }: AdamWOptions,
  update: (arrays: AdamWArrays, range: AdamWUpdate) => void = updateRange,
): void {
  const { m, v } = state;
  checkLengths({ params, gradient, m, v }, { length: params.length });
  state.t++;
  const stepSize = learningRate / (1 - beta1 ** state.t);
  const rootCorrection = Math.sqrt(1 - beta2 ** state.t);
  for (const { from, to, weightDecay } of ranges) {
    const keep = 1 - learningRate * weightDecay;
    update({ params, m, v, gradient }, { from, to, keep, stepSize, rootCorrection, beta1, beta2, eps });
  }
}

function updateRange({ params, m, v, gradient }: AdamWArrays, range: AdamWUpdate): void {
  const { from, to, keep, stepSize, rootCorrection, beta1, beta2, eps } = range;
  for (let i = from; i < to; i++) {
    const g = gradient[i];
    m[i] = beta1 * m[i] + (1 - beta1) * g;
    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
    // Read back after rounding: a resumed run continues from the same numbers.
    params[i] = params[i] * keep - (stepSize * m[i]) / (Math.sqrt(v[i]) / rootCorrection + eps);
  }
}
