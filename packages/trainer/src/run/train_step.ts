/**
 * One optimizer step over all workers. Commits whole or not at all: until every cell is in and every number is finite,
 * parameters and moments are untouched.
 *
 * - Loss and gradient are divided by the step's global count of labelled tokens, so an uneven cell keeps its true weight.
 * - Gradients are added as integers, so neither the number of workers nor the order of arrival changes a bit.
 */
import {
  type AdamWOptions,
  type AdamWState,
  adamWStep,
  clipByGlobalNorm,
  globalNorm,
  gradientSum,
  type LearningRateSchedule,
  learningRate,
  readFixedPoint,
  slotTotals,
} from "@zerogate/core";
import type { StepPlan } from "@zerogate/data";
import type { DevicePool, StepSum } from "@zerogate/workers";

export interface Training {
  readonly pool: DevicePool;
  /** Its name in the pool. */
  readonly job: string;
  /** Over shared memory: workers read them, only a commit writes them. */
  readonly params: Float32Array;
  readonly moments: AdamWState;
  readonly optimizer: AdamWOptions;
  readonly schedule: LearningRateSchedule;
  /** Takes the place of core's own, with the same bits; undefined: core's. */
  readonly adamWUpdate?: Parameters<typeof adamWStep>[5];
  /** 0 = no clipping. */
  readonly clipNorm: number;
  /** Resolves when no checkpoint is being copied from parameters and moments any more. */
  readonly copied: () => Promise<void>;
  /** Names the parameters after `step` steps: never the same name twice for different ones, also where a run goes back. */
  readonly version: (step: number) => number;
}

export interface StepReport {
  /** Nats per labelled token, before the update. */
  readonly loss: number;
  readonly learningRate: number;
  /** Before clipping. */
  readonly gradientNorm: number;
  readonly stepMs: number;
  readonly sum: StepSum;
}

export async function trainStep(training: Training, plan: StepPlan): Promise<StepReport> {
  const { pool, job, params, moments, optimizer, schedule, clipNorm, adamWUpdate, copied, version } = training;
  const { step, cells, labelledTokens } = plan;
  const begin = performance.now();
  const sum = await pool.runStep({ job, step, cells, scale: 1 / labelledTokens, version: version(step) });
  const gradient = new Float32Array(params.length);
  readFixedPoint(gradientSum(sum.slot), gradient);
  const loss = slotTotals(sum.slot).lossSum / labelledTokens;
  const gradientNorm = clipNorm > 0 ? clipByGlobalNorm(gradient, clipNorm) : globalNorm(gradient);
  if (!Number.isFinite(loss + gradientNorm)) {
    throw new RangeError(
      `Cannot commit step ${step}: loss ${loss}, gradient norm ${gradientNorm}; lower the learning rate`,
    );
  }
  const rate = learningRate(schedule, step);
  await copied();
  adamWStep(params, gradient, moments, rate, optimizer, adamWUpdate);
  return { loss, learningRate: rate, gradientNorm, stepMs: performance.now() - begin, sum };
}
