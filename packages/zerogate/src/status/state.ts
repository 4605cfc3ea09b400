/** What is known about a run while it runs. */

export interface WorkerStatus {
  /** `cpu 0`. */
  readonly name: string;
  readonly state: "starting" | "computing" | "waiting" | "lost";
  readonly cells: number;
  /** Share of the run's time in which it computed, 0…1. */
  readonly busy: number;
}

export interface TrainingStatus {
  /** Name of the run, shown first. */
  readonly run: string;
  readonly step: number;
  readonly totalSteps: number;
  readonly epoch: number;
  readonly totalEpochs: number;
  readonly elapsedMs: number;
  /** Undefined until it can be estimated. */
  readonly remainingMs?: number | undefined;
  /** The curve so far, oldest first, nats per labelled token: means of neighbouring steps; the last one is the last step's. */
  readonly losses: readonly number[];
  readonly validationLoss?: number | undefined;
  readonly best?: { readonly step: number; readonly loss: number } | undefined;
  readonly learningRate: number;
  readonly gradientNorm: number;
  readonly tokensPerSecond: number;
  readonly labelledTokensPerSecond: number;
  readonly workers: readonly WorkerStatus[];
}
