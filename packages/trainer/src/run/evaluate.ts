/** Held-out loss and exact match, the same for any number of workers. */
import type { AdapterVersion, DevicePool } from "@zerogate/workers";
import type { HeldOut } from "../open/data.ts";
import { tellingSamples } from "./deadly_cell.ts";
import type { RunInputs } from "./inputs.ts";

export interface EvaluationResult {
  /** Nats per labelled token. */
  readonly loss: number;
  /** e to the power of `loss`. */
  readonly perplexity: number;
  readonly labelledTokens: number;
  /** Share of samples whose whole answer, end included, is what greedy decoding gives. */
  readonly exactMatch: number;
}

/** Scores the held-out samples with this adapter, or without one. */
export async function evaluateHeldOut(
  pool: Pick<DevicePool, "evaluate">,
  heldOut: HeldOut,
  inputs: Pick<RunInputs, "tokenizer" | "template">,
  adapter: AdapterVersion | undefined,
): Promise<EvaluationResult> {
  const { set, samples, cells } = heldOut;
  const work = pool.evaluate({ set, cells, adapter });
  const { lossSum, labelledTokens, exactSamples } = await tellingSamples(work, heldOut, inputs);
  const loss = lossSum / labelledTokens;
  return { loss, perplexity: Math.exp(loss), labelledTokens, exactMatch: exactSamples / samples.length };
}
