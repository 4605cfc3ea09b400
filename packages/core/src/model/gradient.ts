/**
 * The worker's pure function: (parameter snapshot, cell) → (loss, gradient of prompts and gates). Base weights are frozen;
 * layers below the lowest adapted one run forward only and keep nothing; backward stops at the lowest adapter.
 */
import { gateGradient } from "../adapter/gate.ts";
import type { LayerPlace } from "../adapter/layout.ts";
import type { AdapterState } from "../adapter/state.ts";
import type { Cell } from "../cell/tokens.ts";
import type { DeviceArray } from "../engine/engine.ts";
import { type DecoderModel, type LayerGradient, layerBackward } from "./decoder.ts";
import { normBackward, normForward } from "./norm.ts";
import { openPass, preparePrompts, runLayers } from "./pass.ts";
import { promptsForAll } from "./prompts.ts";

/**
 * Loss and gradient of one cell.
 * @param scale 1 / labelled tokens of the whole step: the gradient is this cell's share of that of the step's mean loss.
 * @returns `lossSum` in nats over the cell's labelled tokens; `gradient` as flat as the adapter's `params`.
 */
export async function cellGradient(
  model: DecoderModel,
  adapter: AdapterState,
  cell: Cell,
  scale: number,
): Promise<{ lossSum: number; gradient: Float32Array }> {
  const { engine } = model;
  const { layout, params } = adapter;
  return engine.arena(async () => {
    const pass = openPass(model, cell);
    const prompts = preparePrompts(model, adapter);
    const { y_TD, saved } = runLayers(model, cell, pass, promptsForAll(prompts), true);
    const top = labelledLoss(model, y_TD, cell, scale);
    const gradient = new Float32Array(layout.length);
    let dy_TD = top.dy_TD;
    const backs: { place: LayerPlace; back: LayerGradient }[] = [];
    for (const place of layout.places.toReversed()) {
      const prompt = prompts.get(place.layer);
      const kept = saved.get(place.layer);
      if (!prompt || !kept || !dy_TD) throw new RangeError(`Cannot run layer ${place.layer} backward: it kept nothing`);
      const isLowest = place === layout.places[0];
      const back = layerBackward(model, model.layers[place.layer], dy_TD, kept, pass, prompt, isLowest);
      backs.push({ place, back });
      dy_TD = back.dx_TD;
    }
    // Only now: reading waits, and all work may be queued before.
    for (const { place, back } of backs) {
      gradient.set(await engine.read(back.dprompt_KD), place.prompt);
      const stored = params.subarray(place.gate, place.gate + layout.gateLength);
      gradient.set(gateGradient(layout, stored, await engine.read(back.dgate_H)), place.gate);
    }
    return { lossSum: sum(await engine.read(top.nll_R)), gradient };
  });
}

/**
 * For each labelled token, in the order of `cell.rows_R`: its negative log-likelihood in nats, and 1 where greedy decoding
 * would have taken it. A sample whose tokens are all hit is exactly what greedy decoding answers. Without an adapter: of the base.
 */
export async function cellScores(
  model: DecoderModel,
  adapter: AdapterState | undefined,
  cell: Cell,
): Promise<{ nll_R: Float32Array; hit_R: Float32Array }> {
  const { engine } = model;
  return engine.arena(async () => {
    const prompts = promptsForAll(preparePrompts(model, adapter));
    const { y_TD } = runLayers(model, cell, openPass(model, cell), prompts, false);
    const { nll_R, hit_R } = labelledLoss(model, y_TD, cell, undefined);
    return { nll_R: await engine.read(nll_R), hit_R: await engine.read(hit_R) };
  });
}

/** The losses alone. */
export async function cellLosses(
  model: DecoderModel,
  adapter: AdapterState | undefined,
  cell: Cell,
): Promise<Float32Array> {
  return (await cellScores(model, adapter, cell)).nll_R;
}

/** Sum in the given order, in float64. */
export function sum(values: Float32Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** Final norm, head and loss over the labelled tokens only. Frees `y_TD`; with a scale returns its gradient. */
function labelledLoss(
  { engine, config, finalNorm, head }: DecoderModel,
  y_TD: DeviceArray,
  { ids_T, rows_R, labels_R }: Cell,
  scale: number | undefined,
): { nll_R: DeviceArray; hit_R: DeviceArray; dy_TD: DeviceArray | undefined } {
  const T = ids_T.length;
  const R = rows_R.length;
  const D = config.hiddenSize;
  const x_RD = engine.gatherRows(y_TD, rows_R, { T, D });
  const norm = normForward(engine, x_RD, finalNorm, { T: R, D });
  const loss = engine.headLoss(norm.y_TD, head, labels_R, { R, D, ...(scale !== undefined && { scale }) });
  engine.free(y_TD, norm.y_TD);
  let dy_TD: DeviceArray | undefined;
  if (loss.dy_RD) {
    const input = { dy_TD: loss.dy_RD, x_TD: x_RD, stats: norm.stats };
    const dx_RD = normBackward(engine, input, finalNorm, { T: R, D });
    dy_TD = engine.scatterRows(dx_RD, rows_R, { T, D });
    engine.free(loss.dy_RD, dx_RD);
  }
  engine.free(x_RD, norm.stats);
  return { nll_R: loss.nll_R, hit_R: loss.hit_R, dy_TD };
}
