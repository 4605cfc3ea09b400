/** How much work a cell is, so that hosts get equal parts of a step. */
import type { ModelConfig } from "@zerogate/core";
import type { SampleTokens } from "@zerogate/core/node";
import { type SampleCost, trainingCost } from "@zerogate/core/training";
import { sampleCost } from "@zerogate/data";
import { labelledTokensOf } from "@zerogate/workers";

/** Returns the multiplications of a training cell: those of its samples, by which the plan cuts even cells too. */
export function cellWork(
  model: ModelConfig,
  adaptedLayers: number,
): (tokens: SampleTokens, samples: readonly number[]) => number {
  const cost: SampleCost = trainingCost(model, adaptedLayers);
  return (tokens, samples) =>
    samples.reduce((sum, sample) => {
      const length = (tokens.offsets[sample + 1] ?? 0) - (tokens.offsets[sample] ?? 0);
      return sum + sampleCost(cost, length, labelledTokensOf({ cells: [[sample]] }, tokens));
    }, 0);
}
