/** Warns of held-out samples that are trained on as well. */
import type { SampleTokens } from "@zerogate/core/node";
import { findLeaks, type PreparedTokens } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import type { HeldOut } from "../open/data.ts";

/** Returns a line if validation shares samples or questions with training: how many, and where the first of them stand. */
export function leakWarning(
  { labels }: Pick<TrainConfig, "labels">,
  train: Pick<PreparedTokens<SampleTokens>, "tokens" | "recordOf">,
  trainSamples: Int32Array,
  heldOut: HeldOut | undefined,
): string | undefined {
  if (!heldOut) return undefined;
  const trained = { tokens: train.tokens, samples: trainSamples };
  const { same, sameQuestion, first } = findLeaks(trained, heldOut, labels === "response");
  if (!first) return undefined;
  const parts = [
    ...(same > 0 ? [`${same} as they are`] : []),
    ...(sameQuestion > 0 ? [`${sameQuestion} with another answer`] : []),
  ];
  const all = `${same + sameQuestion} of ${heldOut.samples.length} held-out samples are trained on as well (${parts.join(", ")})`;
  const held = `record ${heldOut.recordOf[first.validation]} of ${heldOut.set === "train" ? "the data" : "the validation data"}`;
  const place = `${held}, which is like record ${train.recordOf[first.train]} of the data`;
  return `${all}: the first is ${place}, counted from 0; held-out loss looks better than it is`;
}
