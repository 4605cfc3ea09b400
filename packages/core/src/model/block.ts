/**
 * One decoder layer over packed tokens: attention, then the feed-forward block. Nothing is parked on the model: what
 * backward needs is returned by forward and handed back.
 */
import type { LabelledRows } from "../cell/labelled.ts";
import type { DeviceArray, Engine } from "../engine/engine.ts";
import { type Attend, attentionBackward, attentionForward, type SavedAttention } from "./attention.ts";
import type { DecoderModel } from "./decoder.ts";
import { mlpArrays, mlpBackward, mlpForward, type SavedMlp } from "./mlp.ts";
import type { Pass } from "./pass.ts";
import type { TokenPrompts } from "./prompts.ts";

/** What backward of one layer needs. */
export interface SavedLayer {
  readonly attention: SavedAttention;
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
  attend?: Attend,
): { y_TD: DeviceArray; saved: SavedLayer } {
  const { x_TD: own_TD, x1_TD, saved: attention } = attentionForward(model, i, x_TD, pass, prompts, attend);
  const { parallelResidual: isParallel } = model.config;
  const input = { x_TD: isParallel ? own_TD : x1_TD, x1_TD };
  const { y_TD, saved: mlp } = mlpForward(model, model.layers[i], input, passOver(pass, attention.labelled));
  if (isParallel) model.engine.free(x1_TD);
  else if (own_TD !== x_TD) model.engine.free(own_TD);
  return { y_TD, saved: { attention, mlp } };
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
  const throughMlp_TD = mlpBackward(model, layer, dy_TD, saved.mlp, passOver(pass, saved.attention.labelled));
  const dx1_TD = model.config.parallelResidual ? dy_TD : throughMlp_TD;
  const outer = { dx1_TD, residual_TD: throughMlp_TD, withInput };
  const gradients = attentionBackward(model, layer, outer, saved.attention, pass);
  model.engine.free(dy_TD, throughMlp_TD);
  freeSaved(model.engine, saved);
  return gradients;
}

/** Frees all that a layer saved, its input included; the prompts belong to others. */
export function freeSaved(engine: Engine, { attention, mlp }: SavedLayer): void {
  const { x_TD, attnStats, qkv_TX, beforeNorm = {}, o_TQ, lse_TH, output = {} } = attention;
  const ofNorms = [beforeNorm, output].flatMap((saved): DeviceArray[] => Object.values(saved));
  const kept = [x_TD, attnStats, qkv_TX, o_TQ, lse_TH, ...ofNorms, ...mlpArrays(mlp)];
  engine.free(...new Set(kept)); // attention and MLP may have read the same x
}
