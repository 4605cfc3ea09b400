/** The numbers that training changes, in shared memory: workers read the parameters, the checkpoint thread copies all. */
import type { ParameterTable } from "@zerogate/core";
import { type AdamWOptions, type AdamWState, groupCount, updateRanges, VISION_FILE } from "@zerogate/core/training";
import type { TrainConfig } from "@zerogate/run-config";
import type { Checkpoint, SharedNumbers } from "@zerogate/run-files";
import type { Standing } from "./standing.ts";

/** @param trained how many of the numbers are trained and so have moments. @default all */
export function sharedNumbers(length: number, trained: number = length): SharedNumbers {
  const shared = (numbers: number) => new Float32Array(new SharedArrayBuffer(4 * numbers));
  return { params: shared(length), m: shared(trained), v: shared(trained) };
}

/** Sets the numbers to those of a checkpoint, or to where training starts. */
export function takeUp(
  { params, m, v }: SharedNumbers,
  from: Pick<Checkpoint, "params" | "moments"> | undefined,
  {
    initialParams,
    layout,
  }: { readonly initialParams: Float32Array; readonly layout: { readonly table: ParameterTable } },
): AdamWState {
  params.set(from?.params ?? initialParams);
  m.fill(0);
  v.fill(0);
  // Of another number of parts, if those that are trained were changed by consent.
  if (from) m.set(from.moments.m.subarray(0, m.length));
  if (from) v.set(from.moments.v.subarray(0, v.length));
  const t = from ? [...from.moments.t] : Array.from({ length: groupCount(layout.table) }, () => 0);
  return { m, v, t };
}

/** Returns where a run stands after a checkpoint, or at its start. */
export function standingAfter(
  from: Pick<Checkpoint, "state"> | undefined,
  skipped: Standing["skipped"] = from?.state.voided ?? [],
): Standing {
  const { step = 0, best, evaluationsWithoutGain = 0, owesEvaluation = false } = from?.state ?? {};
  return { step, best, evaluationsWithoutGain, owesEvaluation, skipped };
}

/** @param table of the parts that are trained. */
export function optimizerOptions(config: TrainConfig, table: ParameterTable): AdamWOptions {
  const { beta1, beta2, eps, decayGroup, weightDecay, visionLearningRate: learningRateFactor } = config;
  const rated = table.map((part) => (part.file === VISION_FILE ? { ...part, learningRateFactor } : part));
  return { beta1, beta2, eps, ranges: updateRanges(rated, decayGroup, weightDecay) };
}
