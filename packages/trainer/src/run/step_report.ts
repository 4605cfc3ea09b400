/** What a committed step reports, and its line of metrics. */
import type { StepPlan } from "@zerogate/data";
import type { StepMetrics } from "@zerogate/run-files";
import type { StepSum } from "@zerogate/workers";

export interface StepReport {
  /** Nats per labelled token, before the update. */
  readonly loss: number;
  readonly learningRate: number;
  /** Before clipping. */
  readonly gradientNorm: number;
  readonly stepMs: number;
  readonly sum: StepSum;
}

/**
 * The line of a step: it is counted from 1, a step computes for as long as its busiest device, and what is neither computing
 * nor adding is waiting.
 */
export function stepMetrics(plan: StepPlan, report: StepReport, gates: number[], stepsPerEpoch: number): StepMetrics {
  const { loss, learningRate, gradientNorm, stepMs, sum } = report;
  const { tokens, labelledTokens } = plan;
  const perSecond = (count: number) => (1000 * count) / stepMs;
  const computeMs = Math.max(...sum.perDevice.map((worker) => worker.computeMs));
  return {
    step: plan.step + 1,
    epoch: (plan.step + 1) / stepsPerEpoch,
    loss,
    learningRate,
    gradientNorm,
    gates,
    labelledTokens,
    tokens,
    ...(sum.hostTokens && { hostTokens: sum.hostTokens }),
    labelledTokensPerSecond: perSecond(labelledTokens),
    tokensPerSecond: perSecond(tokens),
    computeMs,
    reduceMs: sum.reduceMs,
    waitMs: Math.max(0, stepMs - computeMs - sum.reduceMs),
    stepMs,
  };
}
