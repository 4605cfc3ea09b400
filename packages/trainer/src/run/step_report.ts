/** What a committed step reports. */
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
