/** How much memory a run will take: the base and its packed copies once, and per worker what one cell keeps for its backward. */
import { type AdapterLayout, architectureOf, type ModelConfig } from "@zerogate/core";
import type { EngineTraits } from "@zerogate/core/engine";
import {
  backwardLayers,
  deltaNumbers,
  keptForNorms,
  layersOfKinds,
  mlpWidth,
  partLength,
  VISION_FILE,
} from "@zerogate/core/training";
import type { EngineChoice, TrainConfig } from "@zerogate/run-config";
import type { ImageBytes, PlannedData } from "./planned_data.ts";

/** Bytes that a run will take. */
export interface MemoryEstimate {
  /** Bytes of the shared base and of its packed copies. */
  readonly weights: number;
  /** Bytes of features, of the tower, and of what is trained for images. */
  readonly images: number;
  /** Bytes of activations and sums of one worker, and of its own copy of the base if its engine makes one. */
  readonly perWorker: number;
  readonly total: number;
}

/**
 * Kept per token and adapted layer (SavedLayer in core): two hidden states, QKV, attention output, what enters the activation,
 * and a few scalars a head or row. On top come the largest temporaries of one layer and the logits of one chunk; fixed costs of Node are left out.
 * At 135 M parameters and 1,024 tokens a cell: 680 MiB by this, 665 MiB measured (engine-cpu).
 *
 * An engine whose operations are made of smaller ones holds their temporaries: the backward of SwiGLU is the largest, and
 * attention has eight arrays of 4 Mi scores.
 *
 * @param layout of the gradient that workers compute.
 * @param run.weights bytes of the loaded base, as the engine keeps it.
 * @param run.images what seeing images takes besides. @default nothing
 * @param run.isIsolated whether each worker is a process that reads the base for itself.
 */
export function estimateMemory(
  model: ModelConfig,
  layout: AdapterLayout,
  run: {
    readonly cellTokens: number;
    readonly workers: number;
    readonly weights: number;
    readonly engine: Pick<EngineChoice, "weightCopies" | "packedBytes" | "storage"> & {
      readonly traits: Pick<EngineTraits, "isComposed" | "mapsFiles">;
    };
    readonly isIsolated: boolean;
    readonly images?: ImageMemory | undefined;
  },
): MemoryEstimate {
  const { hiddenSize: D, heads, kvHeads, headDim, vocabSize } = model;
  const F = mlpWidth(model);
  const [Q, X] = [heads * headDim, (heads + 2 * kvHeads) * headDim];
  const { activation, norm } = architectureOf(model);
  const { weightCopies, packedBytes, traits, storage } = run.engine;
  const { isComposed = false, mapsFiles = false } = traits;
  const wide = activation.startsWith("gelu") ? F : 2 * F;
  const { queriesKeys, outputs } = keptForNorms(model);
  const keptOfMlp = 2 * D + wide + (norm === "layer" ? 4 : 2) + outputs;
  const keptOfAttention = X + Q + heads + queriesKeys + (model.outputGate ? 2 * Q : 0);
  const T = run.cellTokens;
  const depth = backwardLayers(layout);
  const { attending, delta } = layersOfKinds(model, depth);
  const ofDelta = model.deltaNet && deltaNumbers(model.deltaNet);
  const kept =
    depth * keptOfMlp + attending * keptOfAttention + delta * (ofDelta ? ofDelta.kept + ofDelta.keptInner : 0);
  const temporary = 4 * D + Math.max(2 * X + wide + F, ofDelta ? ofDelta.work + ofDelta.workInner : 0);
  const composed = isComposed ? 3 * X + 10 * F : 0;
  const activations = 4 * T * (kept + temporary + composed);
  const head = 4 * 64 * vocabSize + 8 * T * D;
  const sums = 8 * layout.length + 12 * layout.length;
  const scores = isComposed ? 8 * 4 * Math.min(2 ** 22, heads * T * T) : 0;
  // The file cache is shared by processes too; quantised weights are in no file.
  const isShared = !run.isIsolated || (mapsFiles && storage === "as-is");
  // Packed for forward everywhere, for backward if an adapter is at or below.
  const packed = packedBytes * (1 + depth / model.layers);
  const own = weightCopies * run.weights + (isShared ? 0 : run.weights) + (run.isIsolated ? packed : 0);
  const { features = 0, tower = 0, parts = 0 } = run.images ?? {};
  const perWorker = activations + head + scores + sums + own + (run.isIsolated ? features : 0);
  const weights = (isShared ? run.weights : 0) + (run.isIsolated ? 0 : packed);
  const images = features + tower + parts;
  return { weights, images, perWorker, total: weights + images + run.workers * perWorker };
}

/** Bytes that seeing images takes. */
export interface ImageMemory extends ImageBytes {
  /** Of what is trained for images: the numbers, their moments, and the copy that a checkpoint is written from. */
  readonly parts: number;
}

/** Returns what seeing images takes in a run; undefined for a text run. */
export function imageMemory(
  config: Pick<TrainConfig, "visionParts">,
  layout: AdapterLayout,
  { imageBytes }: Pick<PlannedData, "imageBytes">,
): ImageMemory | undefined {
  if (!imageBytes) return undefined;
  const numbers = layout.table.reduce((sum, part) => sum + (part.file === VISION_FILE ? partLength(part) : 0), 0);
  const moments = config.visionParts === "frozen" ? 0 : 2;
  return { ...imageBytes, parts: 4 * 2 * (1 + moments) * numbers };
}
