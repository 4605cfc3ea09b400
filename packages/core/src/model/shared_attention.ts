/**
 * Attention of a pass that computes beginnings once: its queries, keys and values are copied to where the samples have them,
 * attended as ever, and what comes out is taken from the first sample that has it. Backward goes the same way: outputs that
 * nobody took have no gradient, and the gradients of a row are summed in the order of the samples.
 */
import type { SharedRows } from "../cell/beginnings.ts";
import type { AttentionSize, DeviceArray, Engine } from "../engine/engine.ts";
import type { Pass } from "./pass.ts";

interface SharedPass extends Pass {
  readonly shared: SharedRows;
}

/** Whether the pass computes beginnings once. */
export function isShared(pass: Pass): pass is SharedPass {
  return pass.shared !== undefined;
}

const widths = ({ H, G, d }: Pick<AttentionSize, "H" | "G" | "d">) => ({ Q: H * d, X: (H + 2 * G) * d });

/** `attention`, of rows to rows, without the queries that a layer skips further; `lse_TH` is that of the samples' tokens. */
export function sharedAttention(
  engine: Engine,
  qkv_CX: DeviceArray,
  { cuSeqlens, shared }: SharedPass,
  size: AttentionSize,
): { o_TQ: DeviceArray; lse_TH: DeviceArray } {
  const { Q, X } = widths(size);
  const T = shared.rowOf_T.length;
  const qkv_TX = engine.gatherRows(qkv_CX, shared.rowOf_T, { T: size.T, D: X });
  const { o_TQ, lse_TH } = engine.attention(qkv_TX, cuSeqlens, { skips_S: shared.skips_S, ...size, T });
  const o_CQ = engine.gatherRows(o_TQ, shared.tokenOf_C, { T, D: Q });
  engine.free(qkv_TX, o_TQ);
  return { o_TQ: o_CQ, lse_TH };
}

/** `attentionBackward`, of rows to rows. */
export function sharedAttentionBackward(
  engine: Engine,
  input: { do_TQ: DeviceArray; qkv_TX: DeviceArray; o_TQ: DeviceArray; lse_TH: DeviceArray },
  { cuSeqlens, shared }: SharedPass,
  size: AttentionSize,
): DeviceArray {
  const { Q, X } = widths(size);
  const T = shared.rowOf_T.length;
  const do_TQ = engine.scatterRows(input.do_TQ, shared.tokenOf_C, { T, D: Q });
  const o_TQ = engine.gatherRows(input.o_TQ, shared.rowOf_T, { T: size.T, D: Q });
  const qkv_TX = engine.gatherRows(input.qkv_TX, shared.rowOf_T, { T: size.T, D: X });
  const ofTokens = { do_TQ, qkv_TX, o_TQ, lse_TH: input.lse_TH };
  const dqkv_TX = engine.attentionBackward(ofTokens, cuSeqlens, { skips_S: shared.skips_S, ...size, T });
  const dqkv_CX = engine.scatterRows(dqkv_TX, shared.rowOf_T, { T: size.T, D: X });
  engine.free(do_TQ, o_TQ, qkv_TX, dqkv_TX);
  return dqkv_CX;
}
