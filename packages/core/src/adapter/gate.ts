/**
 * Gate sharing and activation, applied on the host: engines see one effective factor per query head.
 * PEFT: one raw scalar a layer; paper: one per head; the authors' training code: tanh of it (spec §3.4).
 */
import type { AdapterLayout } from "./layout.ts";

type GateKind = Pick<AdapterLayout, "gateActivation" | "heads" | "gateLength">;

/** The factor of each query head, from the stored gate numbers (1 or `heads` of them). */
export function effectiveGate({ gateActivation, heads, gateLength }: GateKind, stored: Float32Array): Float32Array {
  return Float32Array.from({ length: heads }, (_, h) => {
    const gate = stored[gateLength === 1 ? 0 : h];
    return gateActivation === "tanh" ? Math.tanh(gate) : gate;
  });
}

/** Chain rule back to the stored numbers: sum over the heads that share one, times 1 − tanh² where tanh is used. */
export function gateGradient(
  { gateActivation, heads, gateLength }: GateKind,
  stored: Float32Array,
  dgate_H: Float32Array,
): Float32Array {
  const sums = new Float64Array(gateLength);
  for (let h = 0; h < heads; h++) sums[gateLength === 1 ? 0 : h] += dgate_H[h];
  return Float32Array.from(sums, (sum, i) => (gateActivation === "tanh" ? sum * (1 - Math.tanh(stored[i]) ** 2) : sum));
}
