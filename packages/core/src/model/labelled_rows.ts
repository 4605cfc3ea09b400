/**
 * The last layer of a training pass. Only labelled tokens are read from it, so they alone need queries, the output of attention and the
 * MLP, forward and backward; all tokens keep keys and values. Rows that are computed have the bits that they have among all.
 */
import type { LabelledRows } from "../cell/labelled.ts";
import type { AttentionSize, DeviceArray, Engine, RowRange } from "../engine/engine.ts";
import type { DecoderLayer, DecoderModel } from "./decoder.ts";
import type { Pass } from "./pass.ts";
import type { TokenPrompts } from "./prompts.ts";

/** Those that layer i leaves, undefined if it leaves all rows. */
export function labelledOf({ layers }: DecoderModel, i: number, pass: Pass): LabelledRows | undefined {
  return i === layers.length - 1 ? pass.labelled : undefined;
}

/** Whether the last layer can leave rows out: a gate on its output, or a delta net in it, needs all. */
export function leavesRows({ config, layers }: DecoderModel): boolean {
  return !config.outputGate && layers.at(-1)?.delta === undefined;
}

/** Keys and values of all rows, and queries of the labelled ones: those of the others are zeros, which keep what is computed of them finite. */
export function projectLabelled(
  { engine, config }: DecoderModel,
  { qkv, qkvBias: bias }: DecoderLayer,
  h_TD: DeviceArray,
  { size: { T, H, G, d }, order }: Pass,
  { rows_U }: LabelledRows,
): DeviceArray {
  const U = rows_U.length;
  const columns = { T, A: H * d, B: 2 * G * d, X: (H + 2 * G) * d };
  const kv_TY = engine.linear(h_TD, qkv, { T, rows: [columns.A, columns.X], bias, order });
  const h_UD = engine.gatherRows(h_TD, rows_U, { T, D: config.hiddenSize });
  const q_UQ = engine.linear(h_UD, qkv, { T: U, rows: [0, columns.A], bias, order });
  const q_TQ = engine.scatterRows(q_UQ, rows_U, { T, D: columns.A });
  const qkv_TX = engine.joinColumns(q_TQ, kv_TY, columns);
  engine.free(kv_TY, h_UD, q_UQ, q_TQ);
  return qkv_TX;
}

/** What a layer goes on with behind attention. */
interface Going {
  readonly x_TD: DeviceArray;
  readonly qkv_TX: DeviceArray;
  readonly o_TQ: DeviceArray;
  readonly prompts: readonly TokenPrompts[];
  readonly size: AttentionSize;
}

/** Copies the labelled rows, and counts the tokens of prompts in them. */
export function keepLabelled(
  { engine, config }: DecoderModel,
  { x_TD, qkv_TX, o_TQ, prompts, size }: Going,
  labelled: LabelledRows,
): Going {
  const { T, H, G, d } = size;
  const { rows_U } = labelled;
  return {
    x_TD: engine.gatherRows(x_TD, rows_U, { T, D: config.hiddenSize }),
    qkv_TX: engine.gatherRows(qkv_TX, rows_U, { T, D: (H + 2 * G) * d }),
    o_TQ: engine.gatherRows(o_TQ, rows_U, { T, D: H * d }),
    prompts: promptsAmong(prompts, rows_U, T),
    size: { ...size, T: rows_U.length, skips_S: undefined },
  };
}

function promptsAmong(prompts: readonly TokenPrompts[], rows_U: Int32Array, T: number): TokenPrompts[] {
  const place = (row: number) => {
    const found = rows_U.findIndex((own) => own >= row);
    return found < 0 ? rows_U.length : found;
  };
  const among = ([from, to]: RowRange): RowRange => [place(from), place(to)];
  return prompts.map(({ tokens = [0, T], images, ...own }) => {
    const seen = images?.map((image) => ({ ...image, tokens: among(image.tokens) }));
    return { ...own, tokens: among(tokens), images: seen?.filter(({ tokens: [from, to] }) => from < to) };
  });
}

/** Gives labelled rows their places among all T; the others get zeros. */
export function spreadLabelled(
  engine: Engine,
  x_UD: DeviceArray,
  { rows_U }: LabelledRows,
  size: { T: number; D: number },
): DeviceArray {
  return engine.scatterRows(x_UD, rows_U, size);
}
