/** Queries that grow with their position (Ministral 3): after the rotation, times a factor a token. Keys stay as they are. */
import type { AttentionSize, DeviceArray, Engine } from "../engine/engine.ts";
import type { QueryGrowth } from "./config.ts";

/** Returns the factor of each position; undefined if all are 1. */
export function queryFactors(
  { beta, originalContext }: QueryGrowth,
  positions_T: Int32Array,
): Float32Array | undefined {
  if (beta === 0 || positions_T.every((position) => position < originalContext)) return undefined;
  return Float32Array.from(positions_T, (position) => 1 + beta * Math.log(1 + Math.floor(position / originalContext)));
}

/** Multiplies the queries of each row, or their gradient: the two are alike. Frees `qkv_TX`. */
export function growQueries(
  engine: Engine,
  qkv_TX: DeviceArray,
  factor_T: DeviceArray,
  { T, H, G, d }: Pick<AttentionSize, "T" | "H" | "G" | "d">,
): DeviceArray {
  const columns = { T, A: H * d, B: 2 * G * d, X: (H + 2 * G) * d };
  const { a_TA: q_TQ, b_TB: kv_TY } = engine.splitColumns(qkv_TX, columns);
  const grown_TQ = engine.scaleRows(q_TQ, factor_T, { T, D: columns.A });
  const grown_TX = engine.joinColumns(grown_TQ, kv_TY, columns);
  engine.free(qkv_TX, q_TQ, kv_TY, grown_TQ);
  return grown_TX;
}
