/** What a run measures: one line of `metrics.jsonl` each. */

/** One optimizer step. Tokens count once per step, even if some were computed twice because a worker was lost. */
export interface StepMetrics {
  /** Steps done, this one included: counted from 1. */
  readonly step: number;
  /** Fractional: passes over the data done after this step. */
  readonly epoch: number;
  /** Nats per labelled token over the global batch, before this step's update. */
  readonly loss: number;
  readonly learningRate: number;
  /** Global norm before clipping. */
  readonly gradientNorm: number;
  /** Effective gate per adapted layer, ascending; with one gate per head the mean of their magnitudes. */
  readonly gates: readonly number[];
  readonly labelledTokens: number;
  readonly tokens: number;
  /** Of several hosts: how many of these tokens each one computed, by rank. */
  readonly hostTokens?: readonly number[];
  readonly labelledTokensPerSecond: number;
  readonly tokensPerSecond: number;
  /** Longest time that a worker computed, the sum of slots and optimizer, and the rest of `stepMs`. */
  readonly computeMs: number;
  readonly reduceMs: number;
  readonly waitMs: number;
  readonly stepMs: number;
}

/** One validation, after `step` steps; step 0 is the base. */
export interface EvaluationMetrics {
  readonly event: "eval";
  readonly step: number;
  readonly epoch: number;
  /** Nats per labelled token of the held-out data. */
  readonly loss: number;
  /** e to the power of `loss`. */
  readonly perplexity: number;
  readonly labelledTokens: number;
}

/** A line of metrics.jsonl: a step, or a validation. */
export type MetricsLine = StepMetrics | EvaluationMetrics;

/** Whether a line is that of a validation. */
export function isEvaluation(line: MetricsLine): line is EvaluationMetrics {
  return "event" in line;
}
