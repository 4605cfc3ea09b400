/** Logits of chosen tokens: for generation, parity checks and `inspect`. Training never makes them (see `headLoss`). */
import type { AdapterState } from "../adapter/kinds/kind.ts";
import type { DeviceArray, LinearOrder } from "../engine/engine.ts";
import { bindCellImages } from "./cell_images.ts";
import type { DecoderModel } from "./decoder.ts";
import { preparePrompts, runLayers } from "./forward.ts";
import { normForward } from "./norm.ts";
import { openPass, type PackedTokens } from "./pass.ts";
import { promptsBySequence, promptsForAll, type SequencePrompts, type TokenPrompts } from "./prompts.ts";
import { tune } from "./tuned.ts";
import { topTuning } from "./tuning.ts";

/**
 * Returns logits `[R, V]`, row-major, of the tokens at `rows_R`. Without an adapter: of the base.
 *
 * @param rows_R are numbers of tokens, ascending. @default all T of them
 * @example
 * const logits = await tokenLogits(model, adapter, oneSequence([1, 15, 8]), Int32Array.of(2)); // [1, V]: of the last token
 */
export async function tokenLogits(
  model: DecoderModel,
  adapter: AdapterState | undefined,
  tokens: PackedTokens,
  rows_R: Int32Array = Int32Array.from(tokens.ids_T.keys()),
): Promise<Float32Array> {
  return model.engine.arena(() => {
    const seen = bindCellImages(model, adapter, tokens);
    return passLogits(model, promptsForAll(preparePrompts(model, adapter), seen?.ranges), tokens, rows_R);
  });
}

/**
 * Returns logits `[R, V]` as `tokenLogits` does, with sequence s of the tokens adapted as `sequences[s]` says, or not at all.
 *
 * @param sequences have one entry per sequence; undefined is the base. A `scale` of 0 to 1 blends an adapter in.
 * @param rows_R are numbers of tokens, ascending. @default all T of them
 * @example
 * const tokens = packSequences([{ ids: [1, 15, 8] }, { ids: [1, 4] }]);
 * const { prompts, release } = await openPromptCache(model).lease(adapter);
 * const logits = await mixedLogits(model, [undefined, { prompts, scale: 0.5 }], tokens);
 * release();
 */
export async function mixedLogits(
  model: DecoderModel,
  sequences: readonly (SequencePrompts | undefined)[],
  tokens: PackedTokens,
  rows_R: Int32Array = Int32Array.from(tokens.ids_T.keys()),
): Promise<Float32Array> {
  const prompts = promptsBySequence(sequences, tokens.cuSeqlens);
  return model.engine.arena(() => passLogits(model, prompts, tokens, rows_R));
}

function passLogits(
  model: DecoderModel,
  prompts: readonly TokenPrompts[],
  tokens: PackedTokens,
  rows_R: Int32Array,
): Promise<Float32Array> {
  const { y_TD } = runLayers(model, tokens, openPass(model, tokens), prompts, false);
  return model.engine.read(headLogits(model, y_TD, tokens.ids_T.length, { rows_R, prompts }));
}

/** Rows of the top layer's output, and which of its tokens are adapted how. */
export interface TopRows {
  readonly rows_R: Int32Array;
  readonly prompts: readonly TokenPrompts[];
}

/** Final norm, head and its soft cap over the given rows of the top layer's output. Frees `y_TD`. */
export function headLogits(
  model: DecoderModel,
  y_TD: DeviceArray,
  T: number,
  rows: TopRows,
  order: LinearOrder = "any",
): DeviceArray {
  const z_RV = rowLogits(model, y_TD, T, rows, order);
  model.engine.free(y_TD);
  return z_RV;
}

/** The same, and `y_TD` lives on. */
export function rowLogits(
  model: DecoderModel,
  y_TD: DeviceArray,
  T: number,
  { rows_R, prompts }: TopRows,
  order: LinearOrder,
): DeviceArray {
  const { engine, config, finalNorm, head } = model;
  const R = rows_R.length;
  const D = config.hiddenSize;
  const x_RD = engine.gatherRows(y_TD, rows_R, { T, D });
  const tuned = topTuning(model, prompts, T, rows_R);
  const norm = normForward(engine, x_RD, finalNorm, { T: R, D }, tuned?.norm);
  const u_RV = engine.linear(norm.y_TD, head, { T: R, toRead: true, order });
  const z_RV = tuned?.head ? tune(engine, u_RV, tuned.head) : u_RV;
  if (z_RV !== u_RV) engine.free(u_RV);
  engine.free(x_RD, norm.y_TD, norm.stats);
  if (config.logitCap === undefined) return z_RV;
  const capped_RV = engine.softCap(z_RV, { T: R, F: head.rows, cap: config.logitCap });
  engine.free(z_RV);
  return capped_RV;
}

/**
 * Returns one sequence as packed tokens.
 *
 * @param start is the position of its first token. @default 0
 * @example
 * const logits = await tokenLogits(model, undefined, oneSequence([1, 15, 8]));
 */
export function oneSequence(ids: readonly number[] | Int32Array, start = 0): PackedTokens {
  return packSequences([{ ids, start }]);
}

/**
 * Returns sequences back to back, without padding; each sees itself alone.
 *
 * @param sequences have positions from `start` on. @default 0
 * @example
 * const tokens = packSequences([{ ids: [1, 15, 8] }, { ids: [1, 4] }]);
 * [...tokens.cuSeqlens]; // [0, 3, 5]
 */
export function packSequences(
  sequences: readonly { readonly ids: readonly number[] | Int32Array; readonly start?: number }[],
): PackedTokens {
  const cuSeqlens = new Int32Array(sequences.length + 1);
  for (const [s, { ids }] of sequences.entries()) cuSeqlens[s + 1] = cuSeqlens[s] + ids.length;
  return {
    ids_T: Int32Array.from(sequences.flatMap(({ ids }) => [...ids])),
    positions_T: Int32Array.from(sequences.flatMap(({ ids, start = 0 }) => Array.from(ids, (_, i) => start + i))),
    cuSeqlens,
  };
}
