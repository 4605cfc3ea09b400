/**
 * The trained state: adaption prompts and gates of the top layers as one flat float32 vector, in ascending layer order:
 * per adapted layer K·D prompt numbers, then the gate (1 number, or one per query head).
 */

import type { ModelConfig } from "../model/config.ts";
import { architectureOf } from "../model/families/families.ts";
import type { Architecture } from "../model/families/family.ts";

/** `scalar` is PEFT's gate (one number a layer); `per-head` the paper's. */
export type GateSharing = "scalar" | "per-head";
/** `none` multiplies by the raw gate (PEFT, litgpt); `tanh` squashes it first (the authors' training code). */
export type GateActivation = "none" | "tanh";

/**
 * How often an adapted layer adds the bias of its output projection, where the base has one there. `once`: gates of zero
 * give the base. `twice` is what PEFT computes: it projects what the prompts add by itself, bias included (spec §3.1).
 */
export type OutputBias = "once" | "twice";

export interface AdapterShape {
  /** Prompt tokens per adapted layer: `adapter_len`, K. */
  readonly promptLength: number;
  /** Adapted layers, counted from the output side: `adapter_layers`, L. */
  readonly adaptedLayers: number;
  readonly gateSharing: GateSharing;
  readonly gateActivation: GateActivation;
  /** Default `once`. Without meaning on a base that has no such bias. */
  readonly outputBias?: OutputBias | undefined;
}

/** Where one layer's prompt and gate lie in the flat vector. `layer` is the absolute index N−L … N−1. */
export interface LayerPlace {
  readonly layer: number;
  readonly prompt: number;
  readonly gate: number;
}

export interface AdapterLayout extends AdapterShape {
  readonly hiddenSize: number;
  readonly heads: number;
  readonly gateLength: number;
  readonly places: readonly LayerPlace[];
  /** What the adapted modules are called in adapter files. */
  readonly modules: Architecture["modules"];
  /** Undefined where the base has no bias that could be added twice. */
  readonly outputBias: OutputBias | undefined;
  /** Numbers in the flat vector: L·(K·D + gate length). */
  readonly length: number;
}

/**
 * What an adapter's layout depends on in its base: decoder layers, N; hidden size, D; query heads, H; how it is
 * built, by default as Llama is and without a bias.
 */
export type AdaptedBase = Pick<ModelConfig, "layers" | "hiddenSize" | "heads"> &
  Partial<Pick<ModelConfig, "modelType" | "outputBias">>;

/** Decoder layers of the base: prompts end with its last one. */
export function layersOf({ places }: AdapterLayout): number {
  return (places.at(-1)?.layer ?? -1) + 1;
}

/** As much of the base as its adapter's layout tells. */
export function baseOf(layout: AdapterLayout): AdaptedBase {
  const { hiddenSize, heads, modules, outputBias } = layout;
  return {
    modelType: modules.layers === "h" ? "gpt2" : "llama", // others have llama's names
    layers: layersOf(layout),
    hiddenSize,
    heads,
    outputBias: outputBias !== undefined,
  };
}

/** The layout of an adapter of this shape on this model. Shapes are checked where they enter (`AdaptionPromptConfig`). */
export function adapterLayout(shape: AdapterShape, model: AdaptedBase): AdapterLayout {
  const { promptLength, adaptedLayers, gateSharing } = shape;
  const { layers, hiddenSize, heads } = model;
  const gateLength = gateSharing === "scalar" ? 1 : heads;
  const stride = promptLength * hiddenSize + gateLength;
  const places = Array.from({ length: adaptedLayers }, (_, i) => ({
    layer: layers - adaptedLayers + i,
    prompt: i * stride,
    gate: i * stride + promptLength * hiddenSize,
  }));
  const { modules, promptsJoin } = architectureOf({ modelType: model.modelType ?? "llama" });
  const hasBias = model.outputBias && promptsJoin === "before-output";
  const outputBias = hasBias ? (shape.outputBias ?? "once") : undefined;
  return { ...shape, outputBias, hiddenSize, heads, gateLength, places, modules, length: adaptedLayers * stride };
}
