/** What every engine does with the sets of `promptAttention` before it computes: checks, and sizes. */
import type { AttentionSize, PromptSet } from "./engine.ts";

/** Prompts of a set: K. */
export const promptCount = ({ rows: [from, to] }: PromptSet): number => to - from;

/**
 * Checks the prompt sets of one call: their tokens, rows of keys and values, and gates.
 *
 * @param attempt begins the message, for example `Cannot run prompt attention`.
 * @throws RangeError for tokens or rows that do not exist, tokens of two sets or out of order, and gates that are not `[H]`.
 */
export function checkPromptSets(attempt: string, sets: readonly PromptSet[], { T, H, G, d }: AttentionSize): void {
  const refuse = (problem: string) => {
    throw new RangeError(`Cannot run ${attempt}: ${problem}`);
  };
  let next = 0;
  for (const { kv_RY, rows, tokens, gate_H } of sets) {
    const [[from, to], [first, end]] = [tokens, rows];
    const R = kv_RY.length / (2 * G * d);
    if (!(from >= 0 && from <= to && to <= T)) refuse(`tokens ${from} to ${to} are asked for, there are ${T}`);
    if (from < next) refuse(`a set begins at token ${from}, the one before it ends at ${next}`);
    if (!(first >= 0 && first < end && end <= R)) refuse(`rows ${first} to ${end} are asked for, there are ${R}`);
    if (gate_H.length !== H) refuse(`a set has ${gate_H.length} gates, the layer has ${H} query heads`);
    next = to;
  }
}
