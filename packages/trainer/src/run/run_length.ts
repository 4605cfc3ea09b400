/** How long a run is, and its learning rate. */
import { InputError } from "@zerogate/core";
import type { LearningRateSchedule } from "@zerogate/core/training";
import type { TrainConfig } from "@zerogate/run-config";
import { defaultOf, peakLearningRate } from "@zerogate/run-config";

/**
 * Returns `steps`, or `epochs` times the steps of one: of the decimal number that was written, exactly, rounded to the nearest
 * whole step, a half up, at least 1.
 * @throws InputError if that is no number of steps that can be counted.
 */
export function totalStepsOf(
  { steps, epochs = 1 }: Pick<TrainConfig, "steps" | "epochs">,
  stepsPerEpoch: number,
): number {
  if (steps !== undefined) return steps;
  // 1.005 · 100 is 100.49999999999999 in binary and 100.5 in the decimals that people write.
  const [mantissa = "", exponent = "0"] = epochs.toExponential().split("e");
  const [whole = "", fraction = ""] = mantissa.split(".");
  const scale = Number(exponent) - fraction.length;
  const product = BigInt(whole + fraction) * BigInt(stepsPerEpoch) * 10n ** BigInt(Math.max(0, scale));
  const divisor = 10n ** BigInt(Math.max(0, -scale));
  const total = Math.max(1, Number((2n * product + divisor) / (2n * divisor)));
  if (Number.isSafeInteger(total)) return total;
  throw new InputError("Cannot use this configuration", `epochs is ${epochs}, too many to be counted in steps`);
}

export function scheduleOf(config: TrainConfig, stepsPerEpoch: number, totalSteps: number): LearningRateSchedule {
  const { schedule: shape, minLr: minimum, warmupSteps, warmupEpochs, warmupRatio = 0 } = config;
  const fromEpochs = warmupEpochs === undefined ? undefined : warmupEpochs * stepsPerEpoch;
  const warmup = warmupSteps ?? fromEpochs ?? Math.round(warmupRatio * totalSteps);
  return { shape, peak: peakLearningRate(config), minimum, warmupSteps: warmup, totalSteps };
}

/**
 * Gives a new run a warm-up that it has room for: one from a preset, or in epochs, may be longer than all its steps, and the
 * learning rate would never come near its peak. Then it is the default share of the steps, which the run's config says.
 */
export function shortenWarmup(
  config: TrainConfig,
  { warmupSteps, totalSteps }: LearningRateSchedule,
  onWarning: (message: string) => void,
): TrainConfig {
  const steps = totalSteps === 1 ? "only step" : `${totalSteps} steps`;
  if (warmupSteps === totalSteps) {
    onWarning(`the warm-up takes the run's ${steps}: the learning rate never reaches its peak (see warmupRatio)`);
  }
  if (warmupSteps <= totalSteps) return config;
  const warmupRatio = Number(defaultOf("warmupRatio"));
  const shorter = `${100 * warmupRatio} % of them, ${Math.round(warmupRatio * totalSteps)} steps`;
  onWarning(
    `the warm-up of ${Number(warmupSteps.toFixed(1))} steps is longer than the run's ${steps}: it takes ${shorter}`,
  );
  return { ...config, warmupSteps: undefined, warmupEpochs: undefined, warmupRatio };
}
