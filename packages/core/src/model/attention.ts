/**
 * The attention block of one layer with zero-init attention (arXiv:2303.16199 §3.2, eq. 3 to 6), forward and hand-derived
 * backward (spec §3.3). Shape suffixes: engine.ts.
 *
 *   o = attention(q, k, v) + gate · attention(q, k_prompt, v_prompt)      x1 = x + o·W_oᵀ
 *
 * In gpt2 the prompts join behind the projection, as PEFT has them there: x1 = x + attention(q, k, v)·W_oᵀ + gate · (…).
 * What images add joins where prompts do, see images.ts.
 */
import type { LabelledRows } from "../cell/labelled.ts";
import type { AttentionSize, DeviceArray, Engine, PromptSetGradient } from "../engine/engine.ts";
import { project } from "./attention_output.ts";
import type { DecoderLayer, DecoderModel } from "./decoder.ts";
import { keepLabelled, labelledOf, projectLabelled, spreadLabelled } from "./labelled_rows.ts";
import { gateBackward, putGates, type SavedGate, takeGates } from "./output_gate.ts";
import type { LayerPast, Pass } from "./pass.ts";
import {
  addBiasAgain,
  type ImageSums,
  type LayerSets,
  type OwnedSet,
  promptSets,
  sumByImage,
  type TokenPrompts,
} from "./prompts.ts";
import { qkNormBackward, qkNormForward, type SavedQkNorm } from "./qk_norm.ts";
import { growQueries } from "./query_growth.ts";
import { isShared, sharedAttention, sharedAttentionBackward } from "./shared_attention.ts";
import { enter, enterBackward, leaveBackward, type SavedOutput, type SavedTuned } from "./sublayer.ts";
import { type LayerTuning, type LayerTuningGradient, tune, tuneBackward } from "./tuned.ts";

/** What its backward needs. */
export interface SavedAttention {
  readonly x_TD: DeviceArray;
  readonly attnStats: DeviceArray | undefined;
  readonly qkv_TX: DeviceArray;
  /** What queries and keys were before their norms, if the layer has them. */
  readonly beforeNorm: SavedQkNorm | undefined;
  /** Without what images add: the backward of attention does not need it. */
  readonly o_TQ: DeviceArray;
  readonly lse_TH: DeviceArray | undefined;
  /** What came out of the projection, if a norm or tuned vectors follow. */
  readonly output: SavedOutput | SavedTuned | undefined;
  /** What the merged map gave, if tuned vectors follow. */
  readonly u_TX: DeviceArray | undefined;
  /** What multiplies the output, if the base has gates. */
  readonly gate: SavedGate | undefined;
  /** Which tokens attended to which prompts, and saw which images. */
  readonly sets: LayerSets;
  /** Whether `o_TQ` has what the prompts add: the engine made both at once. */
  readonly isAdapted: boolean;
  /** The rows that went on from here, if not all did. */
  readonly labelled: LabelledRows | undefined;
}

/** Layer i's x + attention(norm(x)), with the x of the rows that go on. Takes over `x_TD`: it ends in `saved`. */
export function attentionForward(
  model: DecoderModel,
  i: number,
  x_TD: DeviceArray,
  pass: Pass,
  prompts: readonly TokenPrompts[],
  { past, tuned }: { readonly past?: LayerPast | undefined; readonly tuned?: LayerTuning | undefined } = {},
): { x_TD: DeviceArray; x1_TD: DeviceArray; saved: SavedAttention } {
  const { engine, config } = model;
  const layer = model.layers[i];
  const { T } = pass.size;
  const labelled = labelledOf(model, i, pass);
  const size = { ...pass.size, window: layer.window, ...(labelled && { skips_S: labelled.skips_S }) };
  const sets = promptSets(i, prompts, T);

  const { h_TD, stats } = enter(engine, x_TD, layer.attnNorm, { T, D: config.hiddenSize }, tuned?.attnNorm);
  const product = labelled
    ? projectLabelled(model, layer, h_TD, pass, labelled)
    : engine.linear(h_TD, layer.qkv, { T, bias: layer.qkvBias, order: pass.order });
  if (h_TD !== x_TD) engine.free(h_TD);
  const u_TX = tuned?.qkv && product;
  const projected = tuned?.qkv ? tune(engine, product, tuned.qkv) : product;
  const { raw_TX, gate_TQ } = config.outputGate
    ? takeGates(engine, projected, size)
    : { raw_TX: projected, gate_TQ: undefined };
  const normed = layer.qkNorm && qkNormForward(engine, layer.qkNorm, raw_TX, size);
  const rotated_TX = normed?.qkv_TX ?? raw_TX;
  const cosSin_Td = layer.rotation && pass.cosSin_Td[layer.rotation];
  if (cosSin_Td) engine.rope(rotated_TX, cosSin_Td, size);
  const factor_T = pass.queryFactor_T;
  const qkv_TX = factor_T ? growQueries(engine, rotated_TX, factor_T, size) : rotated_TX;
  const attended = attendAll(model, qkv_TX, sets, pass, size, past);
  const saved = { x_TD, attnStats: stats, u_TX, qkv_TX, beforeNorm: normed?.saved, sets, labelled, ...attended };
  const all = { x_TD, qkv_TX, o_TQ: attended.o_TQ, prompts, size };
  const going = labelled ? keepLabelled(model, all, labelled) : all;
  const own = { sets: labelled ? promptSets(i, going.prompts, going.size.T) : sets, pass, size: going.size };
  const from = { o_TQ: going.o_TQ, isAdapted: attended.isAdapted };
  const joining = { ...own, qkv_TX: going.qkv_TX, gate_TQ, tuned: tuned?.o };
  const { joined_TD, output, gate } = project(model, layer, from, going.x_TD, joining);
  if (labelled) engine.free(going.qkv_TX, going.o_TQ);
  const table = layer.oBiasTable;
  const x1_TD = table ? addBiasAgain(engine, i, joined_TD, table, going.prompts, going.size.T) : joined_TD;
  if (x1_TD !== joined_TD) engine.free(joined_TD);
  return { x_TD: going.x_TD, x1_TD, saved: { ...saved, output, gate } };
}

type Attended = Pick<SavedAttention, "o_TQ" | "lse_TH" | "isAdapted">;

/** Attention over the tokens; with the prompts, if they join here and the engine makes both at once. */
function attendAll(
  { engine, architecture }: DecoderModel,
  qkv_TX: DeviceArray,
  { prompts: sets }: LayerSets,
  pass: Pass,
  size: AttentionSize,
  past: LayerPast | undefined,
): Attended {
  const { cuSeqlens } = pass;
  if (past) {
    const o_TQ = engine.cachedAttention(qkv_TX, past.caches, past.starts, cuSeqlens, size);
    return { o_TQ, lse_TH: undefined, isAdapted: false };
  }
  if (isShared(pass)) return { ...sharedAttention(engine, qkv_TX, pass, size), isAdapted: false };
  const joinsHere = architecture.promptsJoin === "before-output" && sets.length > 0;
  const both = joinsHere ? engine.promptedAttention?.({ qkv_TX, sets }, cuSeqlens, size) : undefined;
  if (both) return { o_TQ: both.y_TQ, lse_TH: both.lse_TH, isAdapted: true };
  return { ...engine.attention(qkv_TX, cuSeqlens, size), isAdapted: false };
}

/** What backward of attention gives: see `attentionBackward`. */
export interface AttentionGradient {
  readonly sets: readonly OwnedGradient[];
  readonly images: ImageSums | undefined;
  readonly dx_TD: DeviceArray | undefined;
  /** Of what is tuned. */
  readonly tuning: LayerTuningGradient;
}

/**
 * Gradients of the layer's prompt sets, sums for images beside them, and with `withInput` the gradient of its input, to which
 * `residual_TD` is added: below the lowest adapted layer nothing needs one.
 */
export function attentionBackward(
  model: DecoderModel,
  layer: DecoderLayer,
  { withInput, ...outer }: { dx1_TD: DeviceArray; residual_TD: DeviceArray; withInput: boolean },
  saved: SavedAttention,
  pass: Pass,
  tuned?: LayerTuning,
): AttentionGradient {
  const { engine, config } = model;
  const { T, H, d } = pass.size;
  const { labelled } = saved;
  const size = { ...pass.size, window: layer.window, ...(labelled && { skips_S: labelled.skips_S }) };
  const hidden = { T, D: config.hiddenSize };
  const rows = labelled?.rows_U.length ?? T;
  const output = { ...hidden, T: rows };
  const { dout_TD, vectors } = leaveBackward(engine, outer.dx1_TD, saved.output, layer.attnOutput, output, tuned?.o);
  const dopen_TQ = engine.linearBackward(dout_TD, layer.o, { T: rows });
  if (dout_TD !== outer.dx1_TD) engine.free(dout_TD);
  const { do_TQ: own_TQ, dgate_TQ } = gateBackward(engine, dopen_TQ, saved.gate, { ...size, T: rows });
  const spread = (own: DeviceArray, D: number) => (labelled ? spreadLabelled(engine, own, labelled, { T, D }) : own);
  const do_TQ = spread(own_TQ, H * d);
  const dx1_TD = model.architecture.promptsJoin === "before-output" ? outer.dx1_TD : spread(outer.dx1_TD, hidden.D);
  const { dqkv_TX: attended_TX, sets, images } = attendBackward(model, { do_TQ, dx1_TD, withInput }, saved, pass, size);
  engine.free(...new Set([own_TQ, do_TQ]));
  if (dx1_TD !== outer.dx1_TD) engine.free(dx1_TD);
  const residual_TD = attended_TX && spread(outer.residual_TD, hidden.D);
  const through =
    attended_TX && residual_TD
      ? inputBackward(model, layer, { attended_TX, dgate_TQ, residual_TD }, saved, pass, size, tuned)
      : undefined;
  if (residual_TD !== outer.residual_TD) engine.free(residual_TD);
  if (!through) engine.free(dgate_TQ);
  return { sets, images, dx_TD: through?.dx_TD, tuning: { o: vectors, ...through?.tuning } };
}

/** From the gradient of rotated queries, keys and values to that of the layer's input, and of what is tuned on the way. */
function inputBackward(
  { engine, config }: DecoderModel,
  layer: DecoderLayer,
  {
    attended_TX,
    dgate_TQ,
    residual_TD,
  }: { attended_TX: DeviceArray; dgate_TQ: DeviceArray | undefined; residual_TD: DeviceArray },
  saved: SavedAttention,
  pass: Pass,
  size: AttentionSize,
  tuned: LayerTuning | undefined,
): { dx_TD: DeviceArray; tuning: LayerTuningGradient } {
  const { T } = size;
  const hidden = { T, D: config.hiddenSize };
  const factor_T = pass.queryFactor_T;
  const dqkv_TX = factor_T ? growQueries(engine, attended_TX, factor_T, size) : attended_TX;
  const cosSin_Td = layer.rotation && pass.cosSin_Td[layer.rotation];
  if (cosSin_Td) engine.rope(dqkv_TX, cosSin_Td, { ...size, inverse: true });
  const draw_TX =
    layer.qkNorm && saved.beforeNorm ? qkNormBackward(engine, layer.qkNorm, dqkv_TX, saved.beforeNorm, size) : dqkv_TX;
  const dopen_TX = dgate_TQ ? putGates(engine, draw_TX, dgate_TQ, size) : draw_TX;
  const { du_TN: dprojected, ...vectors } =
    saved.u_TX && tuned?.qkv ? tuneBackward(engine, dopen_TX, saved.u_TX, tuned.qkv) : { du_TN: dopen_TX };
  const dh_TD = engine.linearBackward(dprojected, layer.qkv, { T });
  const input = { x_TD: saved.x_TD, stats: saved.attnStats, residual_TD };
  const { dx_TD, dweight_SD: attnNorm } = enterBackward(engine, dh_TD, input, layer.attnNorm, hidden, tuned?.attnNorm);
  engine.free(...new Set([dopen_TX, dprojected, dh_TD]));
  return { dx_TD, tuning: { qkv: "dscale_SN" in vectors ? vectors : undefined, attnNorm } };
}

/** The gradient of a set, and whose it is. */
export type OwnedGradient = PromptSetGradient & Pick<OwnedSet, "range" | "of">;

/** Backward of attention and of the prompts, which joined it before or behind the projection. */
function attendBackward(
  { engine, architecture }: DecoderModel,
  { do_TQ, dx1_TD, withInput }: { do_TQ: DeviceArray; dx1_TD: DeviceArray; withInput: boolean },
  { qkv_TX, o_TQ, lse_TH, sets, isAdapted }: SavedAttention,
  pass: Pass,
  size: AttentionSize,
): { dqkv_TX: DeviceArray | undefined; sets: readonly OwnedGradient[]; images: ImageSums | undefined } {
  const { cuSeqlens } = pass;
  if (!lse_TH) throw new RangeError("Cannot run backward of a layer that attended over a cache");
  const owned = (gradients: readonly PromptSetGradient[]): OwnedGradient[] =>
    gradients.map((gradient, i) => {
      const { range, of } = sets.prompts[i];
      return { ...gradient, range, ...(of && { of }) };
    });
  const djoined_TQ = architecture.promptsJoin === "before-output" ? do_TQ : dx1_TD;
  // Nothing goes back to the queries: what an image adds does not depend on them.
  const images = sumByImage(engine, djoined_TQ, sets.images, size);
  if (isAdapted) {
    const input = { do_TQ, qkv_TX, y_TQ: o_TQ, lse_TH, sets: sets.prompts };
    const both = engine.promptedAttentionBackward?.(input, cuSeqlens, { ...size, withInput });
    if (!both)
      throw new RangeError(`Cannot run backward of attention: ${engine.name} has its forward with prompts only`);
    return { dqkv_TX: both.dqkv_TX, sets: owned(both.prompts), images };
  }
  const dqkv_TX = withInput ? attentionGradient(engine, { do_TQ, qkv_TX, o_TQ, lse_TH }, pass, size) : undefined;
  if (sets.prompts.length === 0) return { dqkv_TX, sets: [], images: undefined };
  const input = { do_TQ: djoined_TQ, qkv_TX, sets: sets.prompts, ...(dqkv_TX && { dqkv_TX }) };
  return { dqkv_TX, sets: owned(engine.promptAttentionBackward(input, size)), images };
}

function attentionGradient(
  engine: Engine,
  input: { do_TQ: DeviceArray; qkv_TX: DeviceArray; o_TQ: DeviceArray; lse_TH: DeviceArray },
  pass: Pass,
  size: AttentionSize,
): DeviceArray {
  if (isShared(pass)) return sharedAttentionBackward(engine, input, pass, size);
  return engine.attentionBackward(input, pass.cuSeqlens, size);
}
