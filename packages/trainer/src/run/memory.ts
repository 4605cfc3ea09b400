/** How much memory a run will take: the base once, and per worker what one cell keeps for its backward. */
import { type AdapterLayout, architectureOf, type ModelConfig } from "@zerogate/core";

export interface MemoryEstimate {
  /** Bytes of the shared base. */
  readonly weights: number;
  /** Bytes of activations and sums of one worker, and of its copy of the base where its engine makes one. */
  readonly perWorker: number;
  readonly total: number;
}

/**
 * Kept per token and adapted layer (SavedLayer in core): two hidden states, QKV, attention output, what enters the activation,
 * and a few scalars a head or row. On top come the largest temporaries of one layer and the logits of one chunk; fixed costs of Node are left out.
 * At 135 M parameters and 1,024 tokens a cell: 680 MiB by this, 665 MiB measured (engine-cpu).
 *
 * @param run.weights bytes of the loaded base, as the engine keeps it.
 * @param run.copiesWeights whether each worker copies it: `EngineChoice`.
 */
export function estimateMemory(
  model: ModelConfig,
  layout: AdapterLayout,
  run: {
    readonly cellTokens: number;
    readonly workers: number;
    readonly weights: number;
    readonly copiesWeights: boolean;
  },
): MemoryEstimate {
  const { hiddenSize: D, intermediateSize: F, heads, kvHeads, headDim, vocabSize } = model;
  const [Q, X] = [heads * headDim, (heads + 2 * kvHeads) * headDim];
  const { activation, norm } = architectureOf(model);
  const wide = activation === "gelu" ? F : 2 * F;
  const keptPerToken = 2 * D + X + Q + wide + heads + (norm === "layer" ? 4 : 2);
  const temporaryPerToken = 4 * D + 2 * X + wide + F;
  const T = run.cellTokens;
  const activations = 4 * T * (layout.adaptedLayers * keptPerToken + temporaryPerToken);
  const head = 4 * 64 * vocabSize + 8 * T * D;
  const sums = 8 * layout.length + 12 * layout.length;
  const perWorker = activations + head + sums + (run.copiesWeights ? run.weights : 0);
  return { weights: run.weights, perWorker, total: run.weights + run.workers * perWorker };
}
