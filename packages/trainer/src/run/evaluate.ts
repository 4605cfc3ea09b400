/** Held-out loss and exact match, the same for any number of workers. */
import type { DevicePool } from "@zerogate/workers";
import type { HeldOut } from "./inputs.ts";

export interface EvaluationResult {
  /** Nats per labelled token. */
  readonly loss: number;
  /** e to the power of `loss`. */
  readonly perplexity: number;
  readonly labelledTokens: number;
  /** Share of samples whose whole answer, end included, is what greedy decoding gives. */
  readonly exactMatch: number;
}

/** Scores the held-out samples with the parameters of `version`, or without the adapter. */
export async function evaluateHeldOut(
  pool: DevicePool,
  { set, samples, cells }: Pick<HeldOut, "set" | "samples" | "cells">,
  adapter: boolean,
  version: number,
): Promise<EvaluationResult> {
  const { lossSum, labelledTokens, exactSamples } = await pool.evaluate({ set, cells, adapter, version });
  const loss = lossSum / labelledTokens;
  return { loss, perplexity: Math.exp(loss), labelledTokens, exactMatch: exactSamples / samples.length };
}
