/** How much work a cell is, so that hosts get equal parts of a step. */
import { linearMapCount, type ModelConfig, type TokenSet } from "@zerogate/core";
import { labelledTokensOf } from "@zerogate/workers";

/**
 * Counts the multiplications of a training cell's products: the linear maps for each token, forward in all layers and
 * backward in the adapted ones; attention over the tokens before; the head, both ways, for each labelled token. A tenth of a
 * cell more or less is what sharing by tokens alone would cost where the vocabulary is large beside the layers.
 */
export function cellWork(
  model: ModelConfig,
  adaptedLayers: number,
): (tokens: TokenSet, samples: readonly number[]) => number {
  const { vocabSize: V, hiddenSize: D, heads, headDim, layers } = model;
  const token = (linearMapCount(model) / layers) * (layers + adaptedLayers);
  const pair = heads * headDim * (layers + 2.5 * adaptedLayers); // two products forward, five backward, of half a square
  return (tokens, samples) => {
    let sum = labelledTokensOf({ cells: [samples] }, tokens) * 2 * V * D;
    for (const sample of samples) {
      const T = (tokens.offsets[sample + 1] ?? 0) - (tokens.offsets[sample] ?? 0);
      sum += T * token + T * T * pair;
    }
    return sum;
  };
}
