/**
 * Gates of one variant as gates of another (spec §4.5). What counts is the effective factor of each query head: it must come
 * out the same, or the loss is named. Prompts are never touched: they stand before the projections, so neither the order
 * of query rows nor the rotary layout of a checkpoint concerns them.
 */
import { InputError } from "../../errors.ts";
import { adapterLayoutOn, layerParts } from "../kinds/adaption_prompt.ts";
import type { AdapterState } from "../kinds/kind.ts";
import type { AdapterShape } from "../layout.ts";
import { partNumbers } from "../parameters.ts";
import { effectiveGate } from "../parts/gate.ts";
import { VISION_FILE } from "../parts/projection.ts";

/** How many gates of a layer become one: their mean, median, or root mean square with the mean's sign. */
export const gateReductions = ["mean", "median", "rms"] as const;
/** How several gates become one; `lstsq` is done with data, see `fitGates`. */
export type GateReduction = (typeof gateReductions)[number];

/** Which gates an adapter is to have, and how to get there. */
export interface GateConversion {
  readonly gateSharing: AdapterShape["gateSharing"];
  readonly gateActivation: AdapterShape["gateActivation"];
  /** Needed if heads of a layer differ and the target has one gate a layer; or that gate, for each adapted layer. @default none */
  readonly reduce?: GateReduction | readonly number[];
  /** Takes the nearest gate that tanh can reach for |g| ≥ 1, instead of refusing it. @default false */
  readonly clamp?: boolean;
}

/** What became of one layer's gates. */
export interface LayerGates {
  readonly layer: number;
  /** Effective factors of the query heads. */
  readonly before: Float32Array;
  readonly after: Float32Array;
  /** ‖after − before‖ / ‖before‖; 0 if both are zero. */
  readonly relativeError: number;
}

/** The largest float32 below 1: what tanh of a float32 can still tell from 1. */
const LARGEST_TANH = 1 - 2 ** -24;

/**
 * Returns the same adapter with gates of the wanted variant. Exact but for the rounding of tanh and atanh, unless `reduce` or
 * `clamp` allow more; the error of each layer is measured on the numbers that are returned.
 *
 * @throws InputError that lists the layers whose gates the target cannot hold.
 * @example
 * const { state, layers } = convertGates(adapter, { gateSharing: "scalar", gateActivation: "none", reduce: "mean" });
 * console.log(Math.max(...layers.map(({ relativeError }) => relativeError)));
 */
export function convertGates(
  state: AdapterState,
  target: GateConversion,
): { state: AdapterState; layers: LayerGates[] } {
  const { shape: from, base } = state.layout;
  const { gateSharing, gateActivation } = target;
  const layout = adapterLayoutOn({ ...from, gateSharing, gateActivation }, base);
  const to = layout.shape;
  const params = new Float32Array(layout.length);
  const targets = layerParts(layout);
  // What is trained for images stays as it is.
  for (const part of layout.table) {
    const own = state.layout.table.find(({ name }) => name === part.name);
    if (part.file === VISION_FILE && own) partNumbers(part, params).set(partNumbers(own, state.params));
  }
  const problems: string[] = [];
  const layers = layerParts(state.layout).map(({ layer, prompt, gate }, i): LayerGates => {
    const own = targets[i];
    partNumbers(own.prompt, params).set(partNumbers(prompt, state.params));
    const stored = partNumbers(gate, state.params);
    const reduce = typeof target.reduce === "object" ? target.reduce[i] : target.reduce;
    const gates = { stored, from, to, heads: base.heads };
    const found = layerGates(gates, { reduce, clamp: target.clamp }, `layer ${layer}`);
    if (typeof found === "string") problems.push(found);
    else partNumbers(own.gate, params).set(found);
    const before = effectiveGate(stored, from.gateActivation, base.heads);
    const after = effectiveGate(partNumbers(own.gate, params), to.gateActivation, base.heads);
    return { layer, before, after, relativeError: relativeError(after, before) };
  });
  if (problems.length > 0) throw new InputError("Cannot convert the gates without loss", problems);
  return { state: { layout, params }, layers };
}

/** The stored gates of one layer, with their settings before and after. */
interface GatesToConvert {
  readonly stored: Float32Array;
  readonly from: AdapterShape;
  readonly to: AdapterShape;
  readonly heads: number;
}

/** The stored gates of one layer in the target, or why there are none. */
function layerGates(
  { stored, from, to, heads }: GatesToConvert,
  { reduce, clamp = false }: { reduce: GateReduction | number | undefined; clamp: boolean | undefined },
  where: string,
): Float32Array | string {
  const length = to.gateSharing === "scalar" ? 1 : heads;
  const isShared = length === 1;
  const isEqual = stored.every((gate) => gate === stored[0]);
  if (from.gateActivation === to.gateActivation && (!isShared || isEqual)) {
    return Float32Array.from({ length }, (_, i) => stored[stored.length === 1 ? 0 : i]);
  }
  let factors = effectiveGate(stored, from.gateActivation, heads);
  if (isShared && !isEqual && reduce === undefined) {
    const range = `${Math.min(...factors).toPrecision(4)} to ${Math.max(...factors).toPrecision(4)}`;
    return `${where} has gates from ${range}, the target holds one a layer: allow it with a reduction (mean, median, rms)`;
  }
  if (isShared) factors = Float32Array.of(isEqual || reduce === undefined ? factors[0] : reduced(factors, reduce));
  if (to.gateActivation === "none") return factors;
  const beyond = factors.find((factor) => Math.abs(factor) >= 1);
  if (beyond !== undefined && !clamp) {
    return `${where} has the gate ${beyond.toPrecision(6)}, the target's tanh stays below 1: allow it with clamping`;
  }
  return factors.map((factor) => Math.atanh(Math.min(LARGEST_TANH, Math.max(-LARGEST_TANH, factor))));
}

function reduced(factors: Float32Array, how: GateReduction | number): number {
  if (typeof how === "number") return how;
  const mean = factors.reduce((sum, factor) => sum + factor, 0) / factors.length;
  if (how === "mean") return mean;
  if (how === "rms") return Math.sign(mean) * Math.sqrt(factors.reduce((s, f) => s + f * f, 0) / factors.length);
  const sorted = factors.toSorted();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function relativeError(after: Float32Array, before: Float32Array): number {
  const norm = Math.hypot(...before);
  const difference = Math.hypot(...after.map((factor, h) => factor - before[h]));
  if (difference === 0) return 0;
  return norm === 0 ? Number.POSITIVE_INFINITY : difference / norm;
}
