/**
 * One optimizer step over all workers. Commits whole or not at all: until every cell is in and every number is finite,
 * parameters and moments are untouched.
 *
 * - Loss and gradient are divided by the step's global count of labelled tokens, so an uneven cell keeps its true weight.
 * - Gradients are added as integers, so neither the number of workers nor the order of arrival changes a bit.
 */

import { setImmediate } from "node:timers/promises";
import { adamWStep, clipByGlobalNorm, gradientSum, learningRate, slotTotals, tailOf } from "@zerogate/core/training";
import type { StepPlan } from "@zerogate/data";
import type { CheckpointWriter } from "@zerogate/run-files";
import type { DevicePool } from "@zerogate/workers";
import { adapterAt, type Job, type RunContext } from "./context.ts";
import type { StepReport } from "./step_report.ts";

/** What a step needs of a job: a replay has no more. */
export interface SteppedJob
  extends Pick<Job, "id" | "numbers" | "moments" | "optimizer" | "arithmetic" | "gradient" | "rollbacks"> {
  readonly run: Pick<RunContext, "config" | "inputs">;
  readonly pool: Pick<DevicePool, "runStep">;
  /** A checkpoint that is being copied from parameters and moments is waited for. */
  readonly writer: Pick<CheckpointWriter, "copied">;
}

/** @param whileComputing is called once devices have their cells, and before anything changes. */
export async function trainStep(
  job: SteppedJob,
  plan: StepPlan,
  whileComputing: () => void = () => {},
): Promise<StepReport> {
  const { run, pool, numbers, moments, optimizer, arithmetic, gradient, writer } = job;
  const { step, cells, labelledTokens } = plan;
  const { clipNorm } = run.config;
  const begin = performance.now();
  const [sum] = await Promise.all([
    pool.runStep({ ...adapterAt(job, step), step, cells, scale: 1 / labelledTokens }),
    setImmediate().then(whileComputing), // other jobs hand out their cells before
  ]);
  arithmetic.readSums(gradient, sum.slots.map(gradientSum));
  const loss = slotTotals(tailOf(sum.slots)).lossSum / labelledTokens;
  const gradientNorm =
    clipNorm > 0 ? clipByGlobalNorm(gradient, clipNorm, arithmetic) : arithmetic.globalNorm(gradient);
  if (!Number.isFinite(loss + gradientNorm)) {
    throw new RangeError(
      `Cannot commit step ${step}: loss ${loss}, gradient norm ${gradientNorm}; lower the learning rate`,
    );
  }
  const rate = learningRate(run.inputs.schedule, step);
  await writer.copied();
  const trained = (all: Float32Array) => all.subarray(0, moments.m.length);
  adamWStep(trained(numbers.params), trained(gradient), moments, rate, optimizer, arithmetic.updateRange);
  return { loss, learningRate: rate, gradientNorm, stepMs: performance.now() - begin, sum };
}
