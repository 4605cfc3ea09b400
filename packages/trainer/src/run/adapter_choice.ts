/** Which of a run's states becomes its adapter: that of the lowest held-out loss, or the last. */

import type { TrainConfig } from "@zerogate/run-config";
import type { RunState } from "@zerogate/run-files";
import { formatLoss } from "./format.ts";

export interface AdapterChoice {
  readonly from: TrainConfig["adapterFrom"];
  /** Steps done when the adapter was as it is delivered. */
  readonly step: number;
  /** Steps that the run has done. */
  readonly steps: number;
  /** Held-out, in nats per labelled token, of the best. */
  readonly loss?: number;
}

/** Chooses the best if `adapterFrom` wants it and there was a validation, else the last. */
export function chooseAdapter(
  { adapterFrom }: Pick<TrainConfig, "adapterFrom">,
  { step: steps, best }: Pick<RunState, "step" | "best">,
): AdapterChoice {
  return adapterFrom === "best" && best ? { from: "best", ...best, steps } : lastAdapter(steps);
}

export function lastAdapter(steps: number): AdapterChoice {
  return { from: "last", step: steps, steps };
}

/** Says it to people: `step 40 of 60, with the lowest held-out loss, 0.4123`. */
export function describeChoice({ step, steps, loss }: AdapterChoice): string {
  return `step ${step} of ${steps}, ${loss === undefined ? "the last" : `with the lowest held-out loss, ${formatLoss(loss)}`}`;
}
