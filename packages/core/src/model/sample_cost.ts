/** How much work a sample is in training, so that cells and hosts get equal parts, and what a token keeps of it. */
import { deltaWidths } from "../engine/delta_size.ts";
import type { DeltaConfig, ModelConfig } from "./config.ts";
import { metMapCount } from "./hf_names.ts";

/** Multiplications of a sample's training pass: T · token + T² · pair + labelled · label, for T tokens. */
export interface SampleCost {
  readonly token: number;
  readonly pair: number;
  readonly label: number;
}

/**
 * Counts the multiplications of a training pass's products: the linear maps for each token, forward in all layers and backward
 * in the last `backwardLayers`; attention over the tokens before, or the state of a delta net instead; the head, both ways, for each
 * labelled token. A tenth of a cell more or less is what cutting by tokens alone would cost if the vocabulary is large beside the layers.
 */
export function trainingCost(model: ModelConfig, backwardLayers: number): SampleCost {
  const { vocabSize: V, hiddenSize: D, heads, headDim, layers, deltaNet } = model;
  const [all, back] = [layersOfKinds(model, layers), layersOfKinds(model, backwardLayers)];
  const state = deltaNet ? deltaNet.valueHeads * deltaNet.valueDim * deltaNet.keyDim : 0;
  return {
    // Each number of a state is multiplied four times forward and eleven times backward, which runs forward once more.
    token: (metMapCount(model) / layers) * (layers + backwardLayers) + state * (4 * all.delta + 11 * back.delta),
    pair: heads * headDim * (all.attending + 2.5 * back.attending), // two products forward, five backward, of half a square
    label: 2 * V * D,
  };
}

/** How many of the last `depth` layers attend, and how many have a gated delta net. */
export function layersOfKinds(
  { layers, deltaNet }: Pick<ModelConfig, "layers" | "deltaNet">,
  depth: number,
): { readonly attending: number; readonly delta: number } {
  const delta = deltaNet?.layers.filter((i) => i >= layers - depth).length ?? 0;
  return { attending: depth - delta, delta };
}

/** Numbers of a token that a layer with a gated delta net takes, and which of them may be held in fewer bits. */
export interface DeltaNumbers {
  /** Kept for backward in float32: gates, what the rule gave, statistics. */
  readonly kept: number;
  /** Kept for backward as inner activations: what enters the rule, the factors of the output. */
  readonly keptInner: number;
  /** At the widest place of backward, in float32, beside two hidden states. */
  readonly work: number;
  readonly workInner: number;
}

/** Counts what a gated delta net takes of a token beside two hidden states and the MLP. */
export function deltaNumbers(deltaNet: DeltaConfig): DeltaNumbers {
  const { valueHeads: N } = deltaNet;
  const { C, M } = deltaWidths(deltaNet);
  return { kept: 3 * N + M + 1, keptInner: C + 2 * M, work: 2 * N + M + C, workInner: 5 * M + C };
}

/** Numbers that a token keeps in each layer with a backward for norms that not all bases have. */
export interface NormNumbers {
  /** Queries and keys before their norms. */
  readonly queriesKeys: number;
  /** Outputs of attention and MLP before theirs. */
  readonly outputs: number;
}

/** Counts what norms of queries, keys and outputs keep beside what every base keeps. */
export function keptForNorms(model: ModelConfig): NormNumbers {
  const { hiddenSize, heads, kvHeads, headDim, qkNorm, outputNorms } = model;
  return { queriesKeys: qkNorm ? (heads + kvHeads) * headDim : 0, outputs: outputNorms ? 2 * hiddenSize : 0 };
}

/**
 * Numbers of a token between the linear maps of its widest MLP, the units after the activation: F, or those of all experts that it goes
 * to.
 */
export function mlpWidth({ intermediateSize: F, experts, layers }: ModelConfig): number {
  if (!experts) return F;
  const routed = experts.perToken * experts.intermediateSize;
  return experts.denseLayers.length > 0 && experts.denseLayers.length < layers ? Math.max(F, routed) : routed;
}
