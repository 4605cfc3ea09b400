/**
 * A gate on what attention gives, before its output projection (Qwen 3.5): y = o ∘ σ(gate). The projection of queries makes the gates too:
 * its rows are queries, gates, keys, values. What prompts add joins in front of the gate. Shape suffixes: engine.ts.
 */
import type { AttentionSize, DeviceArray, Engine } from "../engine/engine.ts";

type HeadSize = Pick<AttentionSize, "T" | "H" | "G" | "d">;

/** What backward needs. */
export interface SavedGate {
  readonly gate_TQ: DeviceArray;
  /** What is gated, with what prompts and images added. */
  readonly joined_TQ: DeviceArray;
}

function columnsOf({ T, H, G, d }: HeadSize) {
  const [Q, Y] = [H * d, 2 * G * d];
  return { all: { T, A: Q, B: Q + Y, X: 2 * Q + Y }, rest: { T, A: Q, B: Y, X: Q + Y } };
}

/** Takes the gates out of what the projection gave. Frees `raw`. */
export function takeGates(
  engine: Engine,
  raw: DeviceArray,
  size: HeadSize,
): { raw_TX: DeviceArray; gate_TQ: DeviceArray } {
  const { all, rest } = columnsOf(size);
  const { a_TA: q_TQ, b_TB: others } = engine.splitColumns(raw, all);
  const { a_TA: gate_TQ, b_TB: kv_TY } = engine.splitColumns(others, rest);
  const raw_TX = engine.joinColumns(q_TQ, kv_TY, rest);
  engine.free(raw, q_TQ, others, kv_TY);
  return { raw_TX, gate_TQ };
}

/** Gradient of what the projection gave. Frees both. */
export function putGates(engine: Engine, draw_TX: DeviceArray, dgate_TQ: DeviceArray, size: HeadSize): DeviceArray {
  const { all, rest } = columnsOf(size);
  const { a_TA: dq_TQ, b_TB: dkv_TY } = engine.splitColumns(draw_TX, rest);
  const dothers = engine.joinColumns(dgate_TQ, dkv_TY, rest);
  const draw = engine.joinColumns(dq_TQ, dothers, all);
  engine.free(draw_TX, dgate_TQ, dq_TQ, dkv_TY, dothers);
  return draw;
}

/** Gradients of what is gated and of the gates; of an output without gates its own. Frees `dopen_TQ`. */
export function gateBackward(
  engine: Engine,
  dopen_TQ: DeviceArray,
  gate: SavedGate | undefined,
  { T, H, d }: AttentionSize,
): { do_TQ: DeviceArray; dgate_TQ: DeviceArray | undefined } {
  if (!gate) return { do_TQ: dopen_TQ, dgate_TQ: undefined };
  const input = { dy_TF: dopen_TQ, x_TF: gate.joined_TQ, gate_TF: gate.gate_TQ };
  const { dx_TF, dgate_TF } = engine.sigmoidGateBackward(input, { T, F: H * d });
  engine.free(dopen_TQ);
  return { do_TQ: dx_TF, dgate_TQ: dgate_TF };
}
