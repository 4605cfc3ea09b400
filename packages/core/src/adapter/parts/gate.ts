/**
 * Zero-init gates of one layer. Sharing and activation are applied on the host: engines see one effective factor per query
 * head. PEFT: one raw scalar a layer; paper: one per head; the authors' training code: tanh of it (spec §3.4).
 */
import { ADDEND_LIMIT } from "../../sum/fixed_point.ts";
import type { TrainedPart } from "../parameters.ts";
import { type AdapterSettings, isPeft } from "../settings.ts";

/** `scalar` is PEFT's gate (one number a layer); `per-head` the paper's. */
export type GateSharing = AdapterSettings["gateSharing"];
/** `none` multiplies by the raw gate (PEFT, litgpt); `tanh` squashes it first (the authors' training code). */
export type GateActivation = AdapterSettings["gateActivation"];

/**
 * Stored as `[1]`, PEFT's shape, or `[H]`; one gate of an adapter that PEFT does not have, under tanh for example, as
 * `[1, 1]`: PEFT refuses that instead of computing something else.
 */
export function gatePart(
  layer: number,
  settings: AdapterSettings,
  heads: number,
  place: Pick<TrainedPart, "file" | "fileName">,
): Omit<TrainedPart, "offset"> {
  const { gateSharing } = settings;
  const length = gateSharing === "scalar" ? 1 : heads;
  return {
    name: `layers.${layer}.gate`,
    part: "gate",
    layer,
    shape: length === 1 && !isPeft({ ...settings, gateSharing: "scalar" }) ? [1, 1] : [length],
    init: "zeros",
    decays: gateSharing === "scalar" ? ["all"] : ["all", "original"],
    learningRateFactor: 1,
    group: 0,
    gradientLimit: ADDEND_LIMIT,
    ...place,
  };
}

/** The factor of each query head, from the stored gate numbers (1 or `heads` of them). */
export function effectiveGate(stored: Float32Array, gateActivation: GateActivation, heads: number): Float32Array {
  return Float32Array.from({ length: heads }, (_, h) => {
    const gate = stored[stored.length === 1 ? 0 : h];
    return gateActivation === "tanh" ? Math.tanh(gate) : gate;
  });
}

/** Chain rule back to the stored numbers: sum over the heads that share one, times 1 − tanh² if tanh is used. */
export function gateGradient(
  stored: Float32Array,
  gateActivation: GateActivation,
  dgate_H: Float32Array,
): Float32Array {
  const sums = new Float64Array(stored.length);
  for (let h = 0; h < dgate_H.length; h++) sums[stored.length === 1 ? 0 : h] += dgate_H[h];
  return Float32Array.from(sums, (sum, i) => (gateActivation === "tanh" ? sum * (1 - Math.tanh(stored[i]) ** 2) : sum));
}
