/** What all layers of one pass over packed tokens share. */
import type { Cell } from "../cell/tokens.ts";
import type { AttentionSize, DeviceArray, LinearOrder } from "../engine/engine.ts";
import type { DecoderModel } from "./decoder.ts";
import { ropeAngles } from "./rope_angles.ts";

/** Tokens of sequences one after another, without padding: ids and positions [T], where each sequence begins, and its image. */
export type PackedTokens = Pick<Cell, "ids_T" | "positions_T" | "cuSeqlens" | "images">;

/** What the layers of one pass share. */
export interface Pass {
  readonly cuSeqlens: Int32Array;
  /** None if positions are learned. */
  readonly cosSin_Td: DeviceArray | undefined;
  /** The window is each layer's own. */
  readonly size: Omit<AttentionSize, "window">;
  readonly order: LinearOrder;
}

/**
 * Sizes and rotary angles that all layers of a pass over `tokens` share.
 * @param order `packed` if a token must have the same bits in any pass.
 */
export function openPass(
  { engine, config, architecture, angles }: DecoderModel,
  tokens: PackedTokens,
  order: LinearOrder = "alone",
): Pass {
  const { positions_T, cuSeqlens } = tokens;
  const { heads: H, kvHeads: G, headDim: d } = config;
  const isRotary = architecture.positions === "rotary";
  const cosSin = () =>
    angles ? engine.embed(angles(positions_T), positions_T) : engine.upload(ropeAngles(config, positions_T, cuSeqlens));
  return {
    cuSeqlens,
    cosSin_Td: isRotary ? cosSin() : undefined,
    size: { T: positions_T.length, H, G, d },
    order,
  };
}
