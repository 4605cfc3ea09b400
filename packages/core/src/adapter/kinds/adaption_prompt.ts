/**
 * LLaMA-Adapter (arXiv:2303.16199), PEFT's `ADAPTION_PROMPT`. Trained in each of the last L layers, in ascending order:
 *
 *   prompt [K, D]     rows that every query attends to beside the tokens     starts as N(0, 1)
 *   gate [1] or [H]   what such attention is multiplied by                   starts as 0: the base
 *
 * An adapter with images has what is trained for them behind these, see `fusions/`.
 *
 * Names in files are PEFT's: `base_model.model.model.layers.{i}.self_attn.adaption_prompt`, i the absolute layer.
 */
import { InputError } from "../../errors.ts";
import { plainWide } from "../../kernels/wide_linear.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { LayerPrompt } from "../../model/prompts.ts";
import { ADAPTER_FILE } from "../files/peft.ts";
import { fusionOf } from "../fusions/fusions.ts";
import { type AdaptedBase, type AdapterLayout, adaptedBase, type ShapeChoice } from "../layout.ts";
import { parameterTable, partNumbers, type TrainedPart } from "../parameters.ts";
import { effectiveGate, gateGradient, gatePart } from "../parts/gate.ts";
import { promptKeysValues, promptPart } from "../parts/prompt.ts";
import { boundTuning, keyValueVectors, pullBackKeyValueVectors, pullBackTuning, tuningParts } from "../parts/tuning.ts";
import { settingsOf } from "../settings.ts";
import { checkTunable, type TunableModel, tunableOutputs } from "../tunable.ts";
import { type AdapterKind, type AdapterState, layoutOf } from "./kind.ts";

export const adaptionPrompt: AdapterKind = {
  name: "adaption_prompt",

  table({ promptLength: K, adaptedLayers, vision, tuning, ...settings }, base) {
    const { layers, hiddenSize: D, heads, modules } = base;
    const { attentionLayers = Array.from({ length: layers }, (_, i) => i) } = base;
    const { root, layers: list, attention } = modules;
    const adapted = attentionLayers.slice(-adaptedLayers);
    return parameterTable([
      ...adapted.flatMap((layer) => {
        const path = [...(root === "" ? [] : [root]), list, layer, attention].join(".");
        const place = (name: string) => ({ file: ADAPTER_FILE, fileName: `base_model.model.${path}.${name}` });
        return [
          promptPart(layer, [K, D], place("adaption_prompt")),
          gatePart(layer, settings, heads, place("adaption_gate")),
        ];
      }),
      ...(vision ? fusionOf(vision).parts(base, K) : []),
      ...(tuning ? tuningParts(tuning, base) : []),
    ]);
  },

  bind(adapter, model) {
    const { layout, params } = adapter;
    const { shape, base } = layout;
    const { promptLength: K, gateActivation, outputBiasTimes } = shape;
    const { heads: H } = base;
    const parts = layerParts(layout);
    const gates_LH = new Float32Array(parts.length * H); // in one buffer, which an engine can take over at once
    const layers = new Map(
      parts.map(({ layer, prompt, gate }, l): [number, LayerPrompt] => {
        const gate_H = gates_LH.subarray(l * H, (l + 1) * H);
        gate_H.set(effectiveGate(partNumbers(gate, params), gateActivation, H));
        const vectors = shape.tuning && keyValueVectors(adapter, layer);
        const keysValues = promptKeysValues(model, layer, partNumbers(prompt, params), K, vectors);
        return [layer, { ...keysValues, gate_H, K, outputBiasTimes }];
      }),
    );
    return { layers, tuning: shape.tuning && boundTuning(adapter) };
  },

  bindImages(adapter, model, images) {
    const { vision } = adapter.layout.shape;
    if (!vision) throw new RangeError("Cannot use images: the adapter was made without them");
    return fusionOf(vision).bind(adapter, model, images);
  },

  pullBack(bound, adapter, gradient, { images, wide = plainWide, tuning } = {}) {
    const { layout, params } = adapter;
    const layers = layerParts(layout);
    if (tuning) pullBackTuning(layout, tuning, gradient);
    for (const { layer, dprompt_KD, dgate_H, dkeysValues } of bound) {
      const parts = layers.find((own) => own.layer === layer);
      if (!parts) throw new RangeError(`Cannot pull back a gradient of layer ${layer}: the adapter has none there`);
      const stored = partNumbers(parts.gate, params);
      if (dkeysValues) pullBackKeyValueVectors(layout, layer, dkeysValues, gradient);
      partNumbers(parts.prompt, gradient).set(dprompt_KD);
      partNumbers(parts.gate, gradient).set(gateGradient(stored, layout.shape.gateActivation, dgate_H));
    }
    const { vision } = layout.shape;
    if (vision && images) fusionOf(vision).pullBack(bound, adapter, images, gradient, wide);
  },
};

/**
 * Returns the layout of an adaption prompt of this shape on this model: in each of the top L layers a prompt `[1, K, D]` and a gate
 * `[1]`, or `[H]` with one per query head. Throws an `InputError` for more layers than attend, for images of the fusion `global` on a
 * base with norms of keys or capped scores, and for `tuning` on a base whose layers are not Llama's. The rest of a shape is checked
 * where it enters (`validateAdaptionPromptConfig`).
 *
 * @example
 * const layout = adapterLayout({ promptLength: 10, adaptedLayers: 30 }, config);
 * const params = initParameters(layout.table, 1); // layout.length numbers
 */
export function adapterLayout(
  shape: ShapeChoice,
  model: Parameters<typeof adaptedBase>[0] & TunableModel & Pick<ModelConfig, "qkNorm" | "scoreCap">,
): AdapterLayout {
  const changed = model.qkNorm ? "has norms of keys" : model.scoreCap !== undefined && "caps scores";
  if (shape.vision?.fusion === "global" && changed) {
    const needed = "what an image adds to all prompts must move their scores alike: take the fusion query";
    throw new InputError(`Cannot adapt a ${model.modelType} base to images`, `it ${changed}, and ${needed}`);
  }
  const base = adaptedBase(model);
  if (!shape.tuning) return adapterLayoutOn(shape, base);
  checkTunable(shape, model);
  return adapterLayoutOn(shape, { ...base, outputs: tunableOutputs(model) });
}

/** Returns the same layout from what an adapter's file knows of its base. Throws an `InputError` for layers that are not there. */
export function adapterLayoutOn(shape: ShapeChoice, base: AdaptedBase): AdapterLayout {
  const { promptLength, adaptedLayers } = shape;
  const most = base.attentionLayers?.length ?? base.layers;
  if (!Number.isInteger(adaptedLayers) || adaptedLayers < 1 || adaptedLayers > most) {
    const layers = most === base.layers ? "layers" : `of ${base.layers} layers that attend`;
    throw new InputError(`Cannot adapt ${adaptedLayers} layers`, `the base has ${most} ${layers}: use 1 to ${most}`);
  }
  const outputBiasTimes = base.hasOutputBias ? (shape.outputBiasTimes ?? "once") : undefined;
  const { vision, tuning } = shape;
  const further = { ...(vision && { vision }), ...(tuning && { tuning }) };
  const own = { promptLength, adaptedLayers, ...settingsOf(shape), outputBiasTimes, ...further };
  return layoutOf(adaptionPrompt, own, base);
}

/** The gates of one adapted layer. */
export interface LayerGate {
  readonly layer: number;
  /** Stored: one for all heads, or one each. */
  readonly stored: Float32Array;
  /** What each of the stored ones does: under tanh, if the shape has one. */
  readonly effective: Float32Array;
}

/**
 * Returns how far the layers of an adapter have opened, ascending: of each the stored gate and the factor that it stands for, one
 * number or H of them.
 *
 * @example
 * for (const { layer, effective } of effectiveGates(adapter)) console.log(layer, effective);
 */
export function effectiveGates({ layout, params }: Pick<AdapterState, "layout" | "params">): LayerGate[] {
  return layerParts(layout).map(({ layer, gate }) => {
    const stored = partNumbers(gate, params);
    return { layer, stored, effective: effectiveGate(stored, layout.shape.gateActivation, stored.length) };
  });
}

/**
 * Returns the two parts of every adapted layer, ascending.
 *
 * @example
 * for (const { layer, gate } of layerParts(adapter.layout)) console.log(layer, partNumbers(gate, adapter.params));
 */
export function layerParts({ table }: Pick<AdapterLayout, "table">): {
  readonly layer: number;
  readonly prompt: TrainedPart;
  readonly gate: TrainedPart;
}[] {
  return table.flatMap((prompt, i) => {
    const gate = table[i + 1];
    return prompt.part === "prompt" && prompt.layer !== undefined && gate
      ? [{ layer: prompt.layer, prompt, gate }]
      : [];
  });
}
