/** How much memory a run will take: the base once, and per worker what one cell keeps for its backward. */
import { type AdapterLayout, type DType, type ModelConfig, parameterCount } from "@zerogate/core";

export interface MemoryEstimate {
  /** Bytes of the shared base. */
  readonly weights: number;
  /** Bytes of activations and sums of one worker. */
  readonly perWorker: number;
  readonly total: number;
}

/**
 * Kept per token and adapted layer (SavedLayer in core): two hidden states, QKV, attention output, gate·up and four scalars a
 * head or row. On top come the largest temporaries of one layer and the logits of one chunk. Fixed costs of Node are left out.
 */
export function estimateMemory(
  model: ModelConfig,
  layout: AdapterLayout,
  run: { readonly cellTokens: number; readonly workers: number; readonly weightDtypes: readonly DType[] },
): MemoryEstimate {
  const { hiddenSize: D, intermediateSize: F, heads, kvHeads, headDim, vocabSize } = model;
  const [Q, X] = [heads * headDim, (heads + 2 * kvHeads) * headDim];
  const keptPerToken = 2 * D + X + Q + 2 * F + heads + 2;
  const temporaryPerToken = 4 * D + 2 * X + 3 * F;
  const T = run.cellTokens;
  const activations = 4 * T * (layout.adaptedLayers * keptPerToken + temporaryPerToken);
  const head = 4 * 64 * vocabSize + 8 * T * D;
  const sums = 8 * layout.length + 12 * layout.length;
  const perWorker = activations + head + sums;
  const weights = parameterCount(model) * (run.weightDtypes.includes("bf16") ? 2 : 4);
  return { weights, perWorker, total: weights + run.workers * perWorker };
}
