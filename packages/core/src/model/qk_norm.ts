/**
 * Norms of queries and keys (QK norm): RMSNorm over each head, or over all heads at once, between the projection and the rotation.
 * Keys of prompts get the norm of keys too (spec/model-families.md §2). Shape suffixes: engine.ts; X columns of queries, keys and
 * values, Q of queries, Y of keys and values, C of keys alone.
 */
import type { AttentionSize, DeviceArray, Engine } from "../engine/engine.ts";
import { type Norm, normBackward, normForward } from "./norm.ts";

/** Weights are as long as what is normed at once: a head, or all heads. */
export interface QkNorm {
  readonly queries: Norm;
  readonly keys: Norm;
}

type HeadSize = Pick<AttentionSize, "T" | "H" | "G" | "d">;

/** What the backward of keys and values needs. */
export interface SavedKeys {
  readonly keys_TC: DeviceArray;
  readonly keyStats: DeviceArray;
}

/** What backward needs. */
export interface SavedQkNorm extends SavedKeys {
  readonly queries_TQ: DeviceArray;
  readonly queryStats: DeviceArray;
}

const columnsOf = ({ T, H, G, d }: HeadSize) => ({
  all: { T, A: H * d, B: 2 * G * d, X: (H + 2 * G) * d },
  keysValues: { T, A: G * d, B: G * d, X: 2 * G * d },
});

/** The rows that a norm takes, each as long as its weight. */
function rowsOf({ weight }: Norm, numbers: number): { T: number; D: number } {
  const D = weight.rows * weight.columns;
  return { T: numbers / D, D };
}

/** Queries and keys under their norms, values as they are. Frees `raw_TX`. */
export function qkNormForward(
  engine: Engine,
  { queries, keys }: QkNorm,
  raw_TX: DeviceArray,
  size: HeadSize,
): { qkv_TX: DeviceArray; saved: SavedQkNorm } {
  const { all } = columnsOf(size);
  const { a_TA: queries_TQ, b_TB: kv_TY } = engine.splitColumns(raw_TX, all);
  const q = normForward(engine, queries_TQ, queries, rowsOf(queries, size.T * all.A));
  const { kv_TY: normed_TY, saved } = keyNormForward(engine, keys, kv_TY, size);
  const qkv_TX = engine.joinColumns(q.y_TD, normed_TY, all);
  engine.free(raw_TX, kv_TY, q.y_TD, normed_TY);
  return { qkv_TX, saved: { ...saved, queries_TQ, queryStats: q.stats } };
}

/** Gradient of what the projection gave. Frees `dqkv_TX`. */
export function qkNormBackward(
  engine: Engine,
  { queries, keys }: QkNorm,
  dqkv_TX: DeviceArray,
  { queries_TQ, queryStats, ...saved }: SavedQkNorm,
  size: HeadSize,
): DeviceArray {
  const { all } = columnsOf(size);
  const { a_TA: dq_TQ, b_TB: dkv_TY } = engine.splitColumns(dqkv_TX, all);
  const input = { dy_TD: dq_TQ, x_TD: queries_TQ, stats: queryStats };
  const draw_TQ = normBackward(engine, input, queries, rowsOf(queries, size.T * all.A));
  const draw_TY = keyNormBackward(engine, keys, dkv_TY, saved, size);
  const draw_TX = engine.joinColumns(draw_TQ, draw_TY, all);
  engine.free(dqkv_TX, dq_TQ, dkv_TY, draw_TQ, draw_TY);
  return draw_TX;
}

/** The same of keys and values without queries. */
export function keyNormForward(
  engine: Engine,
  keys: Norm,
  raw_TY: DeviceArray,
  size: HeadSize,
): { kv_TY: DeviceArray; saved: SavedKeys } {
  const { keysValues } = columnsOf(size);
  const { a_TA: keys_TC, b_TB: values_TC } = engine.splitColumns(raw_TY, keysValues);
  const k = normForward(engine, keys_TC, keys, rowsOf(keys, size.T * keysValues.A));
  const kv_TY = engine.joinColumns(k.y_TD, values_TC, keysValues);
  engine.free(k.y_TD, values_TC);
  return { kv_TY, saved: { keys_TC, keyStats: k.stats } };
}

/** Gradient of keys and values before the norm. */
export function keyNormBackward(
  engine: Engine,
  keys: Norm,
  dkv_TY: DeviceArray,
  { keys_TC, keyStats }: SavedKeys,
  size: HeadSize,
): DeviceArray {
  const { keysValues } = columnsOf(size);
  const { a_TA: dk_TC, b_TB: dv_TC } = engine.splitColumns(dkv_TY, keysValues);
  const input = { dy_TD: dk_TC, x_TD: keys_TC, stats: keyStats };
  const draw_TC = normBackward(engine, input, keys, rowsOf(keys, size.T * keysValues.A));
  const draw_TY = engine.joinColumns(draw_TC, dv_TC, keysValues);
  engine.free(dk_TC, dv_TC, draw_TC);
  return draw_TY;
}
