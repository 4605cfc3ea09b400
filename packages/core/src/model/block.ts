/**
 * One decoder layer over packed tokens: attention, then the feed-forward block. Nothing is parked on the model: what
 * backward needs is returned by forward and handed back.
 */
import type { LabelledRows } from "../cell/labelled.ts";
import type { DeviceArray, Engine } from "../engine/engine.ts";
import { type AttentionGradient, attentionBackward, attentionForward, type SavedAttention } from "./attention.ts";
import type { DecoderModel } from "./decoder.ts";
import { deltaBackward, deltaForward, type SavedDelta } from "./delta_net.ts";
import { mlpArrays, mlpBackward, mlpForward, type SavedMlp } from "./mlp.ts";
import type { LayerPast, Pass } from "./pass.ts";
import type { TokenPrompts } from "./prompts.ts";
import type { LayerTuning } from "./tuned.ts";
import { layerTuning } from "./tuning.ts";

/** What backward of one layer needs. */
export interface SavedLayer {
  /** Of what mixes the tokens: attention, or a gated delta net. */
  readonly mixer: SavedAttention | SavedDelta;
  readonly mlp: SavedMlp;
  /** What adapters of the pass tune in it. */
  readonly tuned: LayerTuning | undefined;
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
  const tuned = layerTuning(model, i, prompts, pass.size.T);
  const {
    x_TD: own_TD,
    x1_TD,
    saved: mixer,
  } = delta
    ? { x_TD, ...deltaForward(model, model.layers[i], delta, x_TD, pass, past) }
    : attentionForward(model, i, x_TD, pass, prompts, { past, tuned });
  const { parallelResidual: isParallel } = model.config;
  const input = { x_TD: isParallel ? own_TD : x1_TD, x1_TD };
  const { y_TD, saved: mlp } = mlpForward(model, model.layers[i], input, passOver(pass, labelledIn(mixer)), tuned);
  if (isParallel) model.engine.free(x1_TD);
  else if (own_TD !== x_TD) model.engine.free(own_TD);
  return { y_TD, saved: { mixer, mlp, tuned } };
}

/** Gradients of the layer's prompt sets, in their order, sums for images beside them, and the gradient of its input. Frees `dy_TD` and `saved`. */
export function layerBackward(
  model: DecoderModel,
  i: number,
  dy_TD: DeviceArray,
  saved: SavedLayer,
  pass: Pass,
  withInput: boolean,
): AttentionGradient {
  const layer = model.layers[i];
  const over = passOver(pass, labelledIn(saved.mixer));
  const { dx_TD: throughMlp_TD, tuning } = mlpBackward(model, layer, dy_TD, saved.mlp, over, saved.tuned);
  const dx1_TD = model.config.parallelResidual ? dy_TD : throughMlp_TD;
  const outer = { dx1_TD, residual_TD: throughMlp_TD };
  const gradients = mixerBackward(model, i, outer, saved, pass, withInput);
  model.engine.free(dy_TD, throughMlp_TD);
  freeSaved(model.engine, saved);
  return { ...gradients, tuning: { ...gradients.tuning, ...tuning } };
}

/** The rows that went on from attention; a delta net leaves none out. */
const labelledIn = (mixer: SavedLayer["mixer"]) => ("qkv_TX" in mixer ? mixer.labelled : undefined);

function mixerBackward(
  model: DecoderModel,
  i: number,
  outer: { dx1_TD: DeviceArray; residual_TD: DeviceArray },
  { mixer, tuned }: SavedLayer,
  pass: Pass,
  withInput: boolean,
): AttentionGradient {
  const layer = model.layers[i];
  if ("qkv_TX" in mixer) return attentionBackward(model, layer, { ...outer, withInput }, mixer, pass, tuned);
  const { delta } = layer;
  if (!delta) throw new RangeError(`Cannot run layer ${i} backward: it kept what a delta net keeps, and has none`);
  const dx_TD = withInput ? deltaBackward(model, layer, delta, outer, mixer, pass) : undefined;
  return { sets: [], images: undefined, dx_TD, tuning: {} };
}

/** Frees all that a layer saved, its input included; the prompts belong to others. */
export function freeSaved(engine: Engine, { mixer, mlp }: SavedLayer): void {
  engine.free(...new Set([...mixerArrays(mixer), ...mlpArrays(mlp)])); // both may have read the same x
}

function mixerArrays(mixer: SavedLayer["mixer"]): (DeviceArray | undefined)[] {
  if (!("qkv_TX" in mixer)) return Object.values<DeviceArray | undefined>({ ...mixer });
  const { x_TD, attnStats, u_TX, qkv_TX, beforeNorm = {}, o_TQ, lse_TH, output = {}, gate = {} } = mixer;
  const inside = [beforeNorm, output, gate].flatMap((saved): DeviceArray[] => Object.values(saved));
  return [x_TD, attnStats, u_TX, qkv_TX, o_TQ, lse_TH, ...inside];
}
