/** Where a run stands, and how a stretch of it can end. */
import type { SkippedStep } from "@zerogate/run-files";

/** All of it is in every checkpoint. */
export interface Standing {
  /** Steps done; the next one is plan step `step`. */
  step: number;
  best: { readonly step: number; readonly loss: number } | undefined;
  /** Validations in a row without a new best. */
  evaluationsWithoutGain: number;
  /** A validation is due at this step, or under way. */
  owesEvaluation: boolean;
  /** Steps of the plan that are skipped, ascending. */
  skipped: readonly SkippedStep[];
}

export type Ending = "finished" | "interrupted" | "stopped-early";

/** The state after `to` steps is to be taken up again, and the steps of the plan from there to `bad` are skipped. */
export interface Rollback {
  readonly to: number;
  readonly bad: number;
  readonly reason: string;
}
