/**
 * A kind of adapter that this project does not offer, to show that nothing but a kind knows what is trained: the prompt rows
 * of a layer are `prompt ∘ scale ∘ rows`, with one scale a layer and one vector for all layers, which starts as the base's
 * last norm. Scales and vector have a group, a learning rate, a gradient limit and files of their own and never decay.
 */
import { layerParts } from "../src/adapter/kinds/adaption_prompt.ts";
import { type AdapterKind, type AdapterState, layoutOf } from "../src/adapter/kinds/kind.ts";
import { type AdapterLayout, type AdapterShape, adaptedBase } from "../src/adapter/layout.ts";
import { parameterTable, partNumbers, type TrainedPart } from "../src/adapter/parameters.ts";
import { effectiveGate, gateGradient, gatePart } from "../src/adapter/parts/gate.ts";
import { promptKeysValues, promptPart } from "../src/adapter/parts/prompt.ts";
import type { ModelConfig } from "../src/model/config.ts";
import type { LayerPrompt } from "../src/model/prompts.ts";

const vector = (name: string, layer: number | undefined, D: number, file: string): Omit<TrainedPart, "offset"> => ({
  name,
  part: layer === undefined ? "rows" : "scale",
  layer,
  shape: [D],
  init: layer === undefined ? { base: "finalNorm" } : "ones",
  decays: [],
  learningRateFactor: 0.5,
  group: 1,
  gradientLimit: 4,
  file,
  fileName: `${name}.weight`,
});

export const scaledPrompts: AdapterKind = {
  name: "scaled_prompts",

  table({ promptLength: K, adaptedLayers, ...gates }, { layers, hiddenSize: D, heads }) {
    const adapted = Array.from({ length: adaptedLayers }, (_, i) => layers - adaptedLayers + i);
    const place = (fileName: string) => ({ file: "adapter_model.safetensors", fileName });
    return parameterTable([
      ...adapted.flatMap((layer) => [
        promptPart(layer, [K, D], place(`prompts.${layer}`)),
        gatePart(layer, gates, heads, place(`gates.${layer}`)),
      ]),
      ...adapted.map((layer) => vector(`layers.${layer}.scale`, layer, D, "scales.safetensors")),
      vector("rows", undefined, D, "rows.safetensors"),
    ]);
  },

  bind(adapter, model) {
    const { layout, params } = adapter;
    const { promptLength: K, gateActivation } = layout.shape;
    const layers = new Map(
      layerParts(layout).map(({ layer, gate }): [number, LayerPrompt] => {
        const gate_H = effectiveGate(partNumbers(gate, params), gateActivation, layout.base.heads);
        const rows_KD = scaledRows(adapter, layer);
        return [layer, { ...promptKeysValues(model, layer, rows_KD, K), gate_H, K, outputBiasTimes: undefined }];
      }),
    );
    return { layers };
  },

  pullBack(bound, { layout, params }, gradient) {
    const { hiddenSize: D } = layout.base;
    const rows = numbersOf(layout, "rows", params);
    for (const { layer, dprompt_KD, dgate_H } of bound) {
      const name = `layers.${layer}`;
      const prompt_KD = numbersOf(layout, `${name}.prompt`, params);
      const scale = numbersOf(layout, `${name}.scale`, params);
      for (const [i, d] of dprompt_KD.entries()) {
        numbersOf(layout, `${name}.prompt`, gradient)[i] = d * scale[i % D] * rows[i % D];
        numbersOf(layout, `${name}.scale`, gradient)[i % D] += d * prompt_KD[i] * rows[i % D];
        numbersOf(layout, "rows", gradient)[i % D] += d * prompt_KD[i] * scale[i % D];
      }
      const stored = numbersOf(layout, `${name}.gate`, params);
      numbersOf(layout, `${name}.gate`, gradient).set(gateGradient(stored, layout.shape.gateActivation, dgate_H));
    }
  },
};

export function scaledLayout(shape: AdapterShape, model: ModelConfig): AdapterLayout {
  return layoutOf(scaledPrompts, shape, adaptedBase(model));
}

/** The rows that queries of a layer attend to. */
export function scaledRows({ layout, params }: AdapterState, layer: number): Float32Array {
  const { hiddenSize: D } = layout.base;
  const scale = numbersOf(layout, `layers.${layer}.scale`, params);
  const rows = numbersOf(layout, "rows", params);
  return numbersOf(layout, `layers.${layer}.prompt`, params).map((p, i) => p * scale[i % D] * rows[i % D]);
}

export function numbersOf({ table }: Pick<AdapterLayout, "table">, name: string, all: Float32Array): Float32Array {
  const part = table.find((own) => own.name === name);
  if (!part) throw new RangeError(`Cannot find the part ${name}`);
  return partNumbers(part, all);
}
