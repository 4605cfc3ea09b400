/** Which choice scores make, and whether it is the right one. */
import { characters } from "./python_text.ts";

/** What a model chose, by the sum of logarithms and by that divided by the answer's characters. */
export interface Choice {
  readonly likeliest: number;
  readonly likeliestByLength: number;
}

/** Of several that are equally likely, the first is chosen. */
export function choose(logLikelihoods: readonly number[], answers: readonly string[]): Choice {
  return {
    likeliest: firstOfMost(logLikelihoods),
    likeliestByLength: firstOfMost(logLikelihoods.map((sum, c) => sum / characters(answers[c] ?? ""))),
  };
}

function firstOfMost(values: readonly number[]): number {
  return values.reduce((best, value, i) => (value > (values[best] ?? -Infinity) ? i : best), 0);
}
