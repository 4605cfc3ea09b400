/**
 * AdamW with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101), as torch.optim.AdamW computes it:
 *
 *   p ← p·(1 − lr·decay)      m ← β₁·m + (1−β₁)·g      v ← β₂·v + (1−β₂)·g²
 *   p ← p − lr · (m / (1−β₁ᵗ)) / (√v / √(1−β₂ᵗ) + eps)
 *
 * Parameters and moments are float32; each is computed in float64 and rounded once, on store.
 */
import { type DecayPolicy, type ParameterRange, type ParameterTable, rangesOf } from "../adapter/parameters.ts";
import { checkLengths } from "../shape.ts";

/** Moments of a flat parameter vector, and how many steps were taken. Plain data: a checkpoint stores it as it is. */
export interface AdamWState {
  readonly m: Float32Array;
  readonly v: Float32Array;
  /** Steps that each group of parts has taken. */
  readonly t: number[];
}

/** AdamW's constants, and which numbers it updates. */
export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** What is updated, see `updateRanges`. A group without a range takes no step, and its moments stay. */
  readonly ranges: readonly UpdateRange[];
}

/** A range of the flat vector and how it is updated: what torch calls a parameter group. */
export interface UpdateRange extends ParameterRange {
  readonly weightDecay: number;
  /** Multiplies the learning rate. */
  readonly learningRateFactor: number;
  readonly group: number;
}

/** How the parts of a table are updated under a policy: ranges in order and without gaps. */
export function updateRanges(table: ParameterTable, policy: DecayPolicy, weightDecay: number): UpdateRange[] {
  return rangesOf(table, ({ decays, learningRateFactor, group }) => {
    const isDecayed = decays.some((under) => under === policy);
    return { weightDecay: isDecayed ? weightDecay : 0, learningRateFactor, group };
  });
}

/** The state before the first step. */
export function createAdamWState(length: number, groups = 1): AdamWState {
  return { m: new Float32Array(length), v: new Float32Array(length), t: Array.from({ length: groups }, () => 0) };
}

/** Arrays of one length; `params`, `m` and `v` are changed. */
export interface AdamWArrays {
  readonly params: Float32Array;
  readonly m: Float32Array;
  readonly v: Float32Array;
  readonly gradient: Float32Array;
}

/** One range of a step. `keep` is 1 − lr·decay, `stepSize` lr / (1−β₁ᵗ), `rootCorrection` √(1−β₂ᵗ). */
export interface AdamWUpdate extends Pick<AdamWOptions, "beta1" | "beta2" | "eps">, ParameterRange {
  readonly keep: number;
  readonly stepSize: number;
  readonly rootCorrection: number;
}

/**
 * Takes one step with every group that has a range: changes `params` and `state` in place.
 *
 * @param gradient is of the mean loss, as flat as `params`.
 * @param update computes one range; a native one must give the bits of this one. @default a plain loop
 * @throws RangeError if lengths differ or a group is not counted.
 * @example
 * const state = createAdamWState(adapter.layout.length);
 * const ranges = updateRanges(adapter.layout.table, "original", 0.02);
 * adamWStep(adapter.params, gradient, state, 0.009, { beta1: 0.9, beta2: 0.95, eps: 1e-8, ranges });
 */
export function adamWStep(
  params: Float32Array,
  gradient: Float32Array,
  state: AdamWState,
  learningRate: number,
  { beta1, beta2, eps, ranges }: AdamWOptions,
  update: (arrays: AdamWArrays, range: AdamWUpdate) => void = updateRange,
): void {
  const { m, v, t } = state;
  checkLengths({ params, gradient, m, v }, { length: params.length });
  for (const group of new Set(ranges.map((range) => range.group))) {
    if (t[group] === undefined) throw new RangeError(`Cannot update group ${group}: ${t.length} groups are counted`);
    t[group]++;
  }
  for (const { from, to, weightDecay, learningRateFactor, group } of ranges) {
    const rate = learningRate * learningRateFactor;
    const stepSize = rate / (1 - beta1 ** t[group]);
    const rootCorrection = Math.sqrt(1 - beta2 ** t[group]);
    const keep = 1 - rate * weightDecay;
    update({ params, m, v, gradient }, { from, to, keep, stepSize, rootCorrection, beta1, beta2, eps });
  }
}

/** One range of a step, as `adamWStep` has it. */
export function updateRange({ params, m, v, gradient }: AdamWArrays, range: AdamWUpdate): void {
  const { from, to, keep, stepSize, rootCorrection, beta1, beta2, eps } = range;
  for (let i = from; i < to; i++) {
    const g = gradient[i];
    m[i] = beta1 * m[i] + (1 - beta1) * g;
    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
    // Read back after rounding: a resumed run continues from the same numbers.
    params[i] = params[i] * keep - (stepSize * m[i]) / (Math.sqrt(v[i]) / rootCorrection + eps);
  }
}
