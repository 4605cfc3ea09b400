/** What all layers of one pass over packed tokens share. */
import type { SharedRows } from "../cell/beginnings.ts";
import type { LabelledRows } from "../cell/labelled.ts";
import type { Cell } from "../cell/tokens.ts";
import type { AttentionSize, DeviceArray, KvCache, LinearOrder } from "../engine/engine.ts";
import type { RopeConfig } from "./config.ts";
import type { DecoderModel, Rotation } from "./decoder.ts";
import { queryFactors } from "./query_growth.ts";
import { ropeAngles } from "./rope_angles.ts";

/** Tokens of sequences one after another, without padding: ids and positions [T], where each sequence begins, and its image. */
export type PackedTokens = Pick<Cell, "ids_T" | "positions_T" | "cuSeqlens" | "images">;

/** What the layers of one pass share. */
export interface Pass {
  readonly cuSeqlens: Int32Array;
  /** Cosines and sines of each rotation of the base: none if positions are learned. */
  readonly cosSin_Td: Readonly<Record<Rotation, DeviceArray | undefined>>;
  /** What queries of each row are multiplied by after their rotation, if any is not 1. */
  readonly queryFactor_T?: DeviceArray | undefined;
  /** T rows are computed. The window is each layer's own. */
  readonly size: Omit<AttentionSize, "window">;
  readonly order: LinearOrder;
  /** Of beginnings that are computed once: `cuSeqlens` counts tokens, all else rows. Absent: each token has a row. */
  readonly shared?: SharedRows | undefined;
  /** The rows of the last layer's output that are read. Absent: all of them. */
  readonly labelled?: LabelledRows | undefined;
}

/** What one layer has kept of each sequence: keys and values, or a state, and of how many tokens. */
export interface LayerPast {
  readonly caches: readonly KvCache[];
  readonly starts: Int32Array;
}

/**
 * Sizes and rotary angles that all layers of a pass over `tokens` share.
 * @param order `packed` or `alone` if a token must have the same bits in any pass.
 * @param shared Computes one row for tokens that share it.
 */
export function openPass(
  { engine, config, architecture, angles }: DecoderModel,
  tokens: PackedTokens,
  order: LinearOrder = "any",
  shared?: SharedRows,
): Pass {
  const { positions_T, cuSeqlens } = tokens;
  const { heads: H, kvHeads: G, headDim: d, scoreCap: cap, slidingRope } = config;
  const growth = config.queryGrowth;
  const isRotary = architecture.positions === "rotary";
  const own_T = shared ? shared.tokenOf_C.map((t) => positions_T[t]) : positions_T;
  const cosSin = (rotation: Rotation, rope: RopeConfig): DeviceArray => {
    const table = angles[rotation];
    if (table) return engine.embed(table(own_T), own_T);
    const cosSin_Td = ropeAngles({ ...config, ...rope }, positions_T, cuSeqlens);
    return engine.upload(shared ? rowsOf(cosSin_Td, shared.tokenOf_C, d) : cosSin_Td);
  };
  const factors = growth && queryFactors(growth, own_T);
  return {
    cuSeqlens,
    ...(factors && { queryFactor_T: engine.upload(factors) }),
    cosSin_Td: {
      common: isRotary ? cosSin("common", config) : undefined,
      sliding: isRotary && slidingRope ? cosSin("sliding", slidingRope) : undefined,
    },
    size: { T: own_T.length, H, G, d, ...(cap !== undefined && { cap }) },
    order,
    shared,
  };
}

function rowsOf(values_Td: Float32Array, rows: Int32Array, d: number): Float32Array {
  const chosen = new Float32Array(rows.length * d);
  for (const [r, row] of rows.entries()) chosen.set(values_Td.subarray(row * d, (row + 1) * d), r * d);
  return chosen;
}
