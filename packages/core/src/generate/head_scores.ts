/** Log-probabilities of tokens that are known, such as those of a prompt: in chunks of rows, so `[T, V]` logits never exist. */
import type { DeviceArray } from "../engine/engine.ts";
import type { DecoderModel } from "../model/decoder.ts";
import { rowLogits, type TopRows } from "../model/logits.ts";
import { scoreToken, type TokenScores } from "./scores.ts";

/** Rows whose logits exist at the same time. */
const CHUNK = 32;

/** Rows of the top layer's output, the token that follows each, and how many of the most likely ones to score beside it. */
export interface ScoredRows extends TopRows {
  readonly labels_R: readonly number[];
  readonly top: number;
}

/**
 * Scores the labels of some rows of `y_TD`, which lives on. Sums go in packed order: a score has the same bits whatever other rows there
 * are. Runs in the engine's arena.
 */
export async function headScores(
  model: DecoderModel,
  y_TD: DeviceArray,
  T: number,
  { rows_R, prompts, labels_R, top }: ScoredRows,
): Promise<TokenScores[]> {
  const { engine, head } = model;
  const scores: TokenScores[] = [];
  for (let from = 0; from < rows_R.length; from += CHUNK) {
    const some_R = rows_R.subarray(from, from + CHUNK);
    const z_RV = rowLogits(model, y_TD, T, { rows_R: some_R, prompts }, "packed");
    const logits = await engine.read(z_RV);
    engine.free(z_RV);
    for (let r = 0; r < some_R.length; r++) {
      const own = logits.subarray(r * head.rows, (r + 1) * head.rows);
      scores.push(scoreToken(own, labels_R[from + r], top));
    }
  }
  return scores;
}
