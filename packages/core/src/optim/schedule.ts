/** Learning rate as a pure function of the step: nothing to save, nothing to restore. */

export interface LearningRateSchedule {
  /** After warm-up: `constant` stays at `peak`, the others fall to `minimum` at `totalSteps`. */
  readonly shape: "constant" | "linear" | "cosine";
  readonly peak: number;
  readonly minimum: number;
  /** Steps of linear warm-up from 0: step 0 has learning rate 0 exactly. For W epochs W · stepsPerEpoch, a fraction allowed. */
  readonly warmupSteps: number;
  /** Steps of the whole run, warm-up included; for E epochs E · stepsPerEpoch. */
  readonly totalSteps: number;
}

/**
 * Returns the learning rate of `step`, counted from 0. Warm-up and cosine are those of the LLaMA-Adapter code with
 * e = step / stepsPerEpoch: lr·e/W, then min + (lr − min)·½·(1 + cos(π(e−W)/(E−W))). Past the end it stays at the minimum.
 *
 * @example
 * const rate = learningRate(schedule, 0);
 */
export function learningRate(schedule: LearningRateSchedule, step: number): number {
  const { shape, peak, minimum, warmupSteps, totalSteps } = schedule;
  if (step < warmupSteps) return (peak * step) / warmupSteps;
  const decaySteps = totalSteps - warmupSteps;
  const progress = decaySteps > 0 ? Math.min(1, (step - warmupSteps) / decaySteps) : 1;
  return minimum + (peak - minimum) * decay[shape](progress);
}

/** From 1 at the end of warm-up (progress 0) down to what is left at the end of the run (progress 1). */
const decay: Readonly<Record<LearningRateSchedule["shape"], (progress: number) => number>> = {
  constant: () => 1,
  linear: (progress) => 1 - progress,
  cosine: (progress) => 0.5 * (1 + Math.cos(Math.PI * progress)),
};

/** The LLaMA-Adapter code's `--blr`: a base rate is meant for 256 samples a step. */
export function effectiveLearningRate(baseLearningRate: number, globalBatch: number): number {
  return (baseLearningRate * globalBatch) / 256;
}
