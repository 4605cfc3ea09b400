/** Forward over packed tokens, from the embedding to the top of the last layer. */
import type { AdapterState } from "../adapter/kinds/kind.ts";
import { kindOf } from "../adapter/kinds/known.ts";
import type { DeviceArray } from "../engine/engine.ts";
import { freeSaved, layerForward, type SavedLayer } from "./block.ts";
import type { DecoderModel } from "./decoder.ts";
import type { PackedTokens, Pass } from "./pass.ts";
import type { AdapterPrompts, TokenPrompts } from "./prompts.ts";

/** What enters the first layer. Throws a `RangeError` for a position beyond the learned ones. */
export function embedTokens(model: DecoderModel, { ids_T, positions_T }: PackedTokens): DeviceArray {
  const { engine, config, embed, positions } = model;
  const { embedScale: scale, contextLength } = config;
  if (!positions) return engine.embed(embed, ids_T, { scale });
  const last = positions_T.reduce((a, b) => Math.max(a, b), 0);
  if (last >= contextLength) {
    throw new RangeError(`Cannot embed position ${last}: the model has learned ${contextLength} positions`);
  }
  const residual = engine.embed(positions, positions_T);
  const x_TD = engine.embed(embed, ids_T, { scale, residual });
  engine.free(residual);
  return x_TD;
}

/**
 * What an adapter's layers add in a pass, from the current parameters. Training makes it again for every pass: a
 * cache that outlives a step is how the best-known implementation stopped training its prompts (spec §7.3).
 */
export function preparePrompts(model: DecoderModel, adapter: AdapterState | undefined): AdapterPrompts {
  return adapter ? kindOf(adapter).bind(adapter, model) : { layers: new Map() };
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
  const lowest = Math.min(...prompts.flatMap(({ prompts: own }) => (own.tuning ? 0 : [...own.layers.keys()])));
  const kept = new Map<number, SavedLayer>();
  let x_TD = embedTokens(model, tokens);
  for (let i = 0; i < model.layers.length; i++) {
    const { y_TD, saved } = layerForward(model, i, x_TD, pass, prompts);
    if (keep && i >= lowest) kept.set(i, saved);
    else freeSaved(engine, saved);
    x_TD = y_TD;
  }
  return { y_TD: x_TD, saved: kept };
}
