/** One forward pass over packed tokens, from the embedding to the top of the last layer. */
import { effectiveGate } from "../adapter/gate.ts";
import type { AdapterState } from "../adapter/state.ts";
import type { Cell } from "../cell/tokens.ts";
import type { AttentionSize, DeviceArray } from "../engine/engine.ts";
import { type DecoderModel, freeSaved, layerForward, type Pass, promptKv, type SavedLayer } from "./decoder.ts";
import type { AdapterPrompts, LayerPrompt, TokenPrompts } from "./prompts.ts";
import { ropeAngles } from "./rope_angles.ts";

export type PackedTokens = Pick<Cell, "ids_T" | "positions_T" | "cuSeqlens">;

/** Sizes and rotary angles that all layers of a pass over `tokens` share. */
export function openPass({ engine, config }: DecoderModel, { positions_T, cuSeqlens }: PackedTokens): Pass {
  return {
    cuSeqlens,
    cosSin_Td: engine.upload(ropeAngles(config, positions_T, cuSeqlens)),
    size: attentionSize(config, positions_T.length),
  };
}

function attentionSize(config: DecoderModel["config"], T: number): AttentionSize {
  return { T, H: config.heads, G: config.kvHeads, d: config.headDim, window: config.slidingWindow };
}

/**
 * Prompt keys and values of every adapted layer, from the parameters as they are now. Training makes them anew for every
 * pass: a cache that outlives a step is how the best-known implementation stopped training its prompts (spec §7.3).
 */
export function preparePrompts(model: DecoderModel, adapter: AdapterState | undefined): AdapterPrompts {
  const prompts = new Map<number, LayerPrompt>();
  if (!adapter) return prompts;
  const { engine, layers } = model;
  const { layout, params } = adapter;
  const K = layout.promptLength;
  for (const { layer, prompt, gate } of layout.places) {
    const prompt_KD = engine.upload(params.subarray(prompt, gate));
    const gate_H = effectiveGate(layout, params.subarray(gate, gate + layout.gateLength));
    prompts.set(layer, { kv_KY: promptKv(model, layers[layer], prompt_KD, K), gate_H, K });
    engine.free(prompt_KD);
  }
  return prompts;
}

/**
 * Runs all layers. With `keep`, the lowest adapted layer and those above leave what their backward needs in `saved`;
 * everything else is freed as soon as the next layer has read it.
 */
export function runLayers(
  model: DecoderModel,
  tokens: PackedTokens,
  pass: Pass,
  prompts: readonly TokenPrompts[],
  keep: boolean,
): { y_TD: DeviceArray; saved: Map<number, SavedLayer> } {
  const { engine } = model;
  const lowest = Math.min(...prompts.flatMap((one) => [...one.prompts.keys()]));
  const kept = new Map<number, SavedLayer>();
  let x_TD = engine.embed(model.embed, tokens.ids_T);
  for (let i = 0; i < model.layers.length; i++) {
    const { y_TD, saved } = layerForward(model, i, x_TD, pass, prompts);
    if (keep && i >= lowest) kept.set(i, saved);
    else freeSaved(engine, saved);
    x_TD = y_TD;
  }
  return { y_TD: x_TD, saved: kept };
}
