/**
 * One decoder layer over packed tokens: attention, then the feed-forward block. Nothing is parked on the model: what
 * backward needs is returned by forward and handed back.
 */
import type { LabelledRows } from "../cell/labelled.ts";
import type { DeviceArray, Engine } from "../engine/engine.ts";
import { attentionBackward, attentionForward, type SavedAttention } from "./attention.ts";
import type { DecoderModel } from "./decoder.ts";
import { deltaBackward, deltaForward, type SavedDelta } from "./delta_net.ts";
import { mlpArrays, mlpBackward, mlpForward, type SavedMlp } from "./mlp.ts";
import type { LayerPast, Pass } from "./pass.ts";
import type { TokenPrompts } from "./prompts.ts";

/** What backward of one layer needs. */
export interface SavedLayer {
  /** Of what mixes the tokens: attention, or a gated delta net. */
  readonly mixer: SavedAttention | SavedDelta;
  readonly mlp: SavedMlp;
}

/** The pass as the MLP of a layer sees it: with the rows that attention left. */
const passOver = (pass: Pass, labelled: LabelledRows | undefined): Pass =>
  labelled ? { ...pass, size: { ...pass.size, T: labelled.rows_U.length } } : pass;

/** Layer i, of whose output the last layer of a pass may have labelled rows only. Takes over `x_TD`: it ends in `saved`, which the caller frees. */
export function layerForward(
  model: DecoderModel,
  i: number,
  x_TD: DeviceArray,
  pass: Pass,
  prompts: readonly TokenPrompts[],
  past?: LayerPast,
): { y_TD: DeviceArray; saved: SavedLayer } {
  const { delta } = model.layers[i];
  const {
    x_TD: own_TD,
    x1_TD,
    saved: mixer,
  } = delta
    ? { x_TD, ...deltaForward(model, model.layers[i], delta, x_TD, pass, past) }
    : attentionForward(model, i, x_TD, pass, prompts, past);
  const { parallelResidual: isParallel } = model.config;
  const input = { x_TD: isParallel ? own_TD : x1_TD, x1_TD };
  const { y_TD, saved: mlp } = mlpForward(model, model.layers[i], input, passOver(pass, labelledIn(mixer)));
  if (isParallel) model.engine.free(x1_TD);
  else if (own_TD !== x_TD) model.engine.free(own_TD);
  return { y_TD, saved: { mixer, mlp } };
}

/** Gradients of the layer's prompt sets, in their order, sums for images beside them, and the gradient of its input. Frees `dy_TD` and `saved`. */
export function layerBackward(
  model: DecoderModel,
  i: number,
  dy_TD: DeviceArray,
  saved: SavedLayer,
  pass: Pass,
  withInput: boolean,
): ReturnType<typeof attentionBackward> {
  const layer = model.layers[i];
  const throughMlp_TD = mlpBackward(model, layer, dy_TD, saved.mlp, passOver(pass, labelledIn(saved.mixer)));
  const dx1_TD = model.config.parallelResidual ? dy_TD : throughMlp_TD;
  const outer = { dx1_TD, residual_TD: throughMlp_TD };
  const gradients = mixerBackward(model, i, outer, saved.mixer, pass, withInput);
  model.engine.free(dy_TD, throughMlp_TD);
  freeSaved(model.engine, saved);
  return gradients;
}

/** The rows that went on from attention; a delta net leaves none out. */
const labelledIn = (mixer: SavedLayer["mixer"]) => ("qkv_TX" in mixer ? mixer.labelled : undefined);

function mixerBackward(
  model: DecoderModel,
  i: number,
  outer: { dx1_TD: DeviceArray; residual_TD: DeviceArray },
  saved: SavedLayer["mixer"],
  pass: Pass,
  withInput: boolean,
): ReturnType<typeof attentionBackward> {
  const layer = model.layers[i];
  if ("qkv_TX" in saved) return attentionBackward(model, layer, { ...outer, withInput }, saved, pass);
  const { delta } = layer;
  if (!delta) throw new RangeError(`Cannot run layer ${i} backward: it kept what a delta net keeps, and has none`);
  const dx_TD = withInput ? deltaBackward(model, layer, delta, outer, saved, pass) : undefined;
  return { sets: [], images: undefined, dx_TD };
}

/** Frees all that a layer saved, its input included; the prompts belong to others. */
export function freeSaved(engine: Engine, { mixer, mlp }: SavedLayer): void {
  engine.free(...new Set([...mixerArrays(mixer), ...mlpArrays(mlp)])); // both may have read the same x
}

function mixerArrays(mixer: SavedLayer["mixer"]): (DeviceArray | undefined)[] {
  if (!("qkv_TX" in mixer)) return Object.values<DeviceArray | undefined>({ ...mixer });
  const { x_TD, attnStats, qkv_TX, beforeNorm = {}, o_TQ, lse_TH, output = {}, gate = {} } = mixer;
  const inside = [beforeNorm, output, gate].flatMap((saved): DeviceArray[] => Object.values(saved));
  return [x_TD, attnStats, qkv_TX, o_TQ, lse_TH, ...inside];
}
