/** How likely answers are, one by one: what choosing among options and comparing images need. */
import { type AdaptionPromptModel, packCell, type TokenSet } from "@zerogate/core";
import { allSamples, cellsOf } from "../open/data.ts";

/** Tokens computed together; no result depends on it beyond rounding. */
const CELL_TOKENS = 2048;

/** Returns the loss of each sample under the active adapter, in nats, summed over its labelled tokens. */
export async function answerLosses(
  model: Pick<AdaptionPromptModel, "losses">,
  tokens: TokenSet,
  { signal, onProgress }: { readonly signal?: AbortSignal; readonly onProgress?: (samples: number) => void } = {},
): Promise<Float64Array> {
  const samples = allSamples(tokens);
  const sums = new Float64Array(samples.length);
  for (const cell of cellsOf(tokens, samples, CELL_TOKENS)) {
    signal?.throwIfAborted();
    const packed = packCell(tokens, cell);
    const { cuSeqlens, rows_R } = packed;
    let s = 0;
    for (const [r, loss] of (await model.losses(packed)).entries()) {
      while ((rows_R[r] ?? 0) >= (cuSeqlens[s + 1] ?? Infinity)) s++;
      const sample = cell[s] ?? 0;
      sums[sample] = (sums[sample] ?? 0) + loss;
    }
    onProgress?.((cell.at(-1) ?? 0) + 1);
  }
  return sums;
}
