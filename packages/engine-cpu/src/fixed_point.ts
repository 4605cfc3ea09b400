/** Order-independent gradient sums, natively: the bits of core's `sum/fixed_point.ts`. */
import { loadAddon } from "./addon.ts";

/**
 * Adds `gradient` to the int64 sums (2 words each, low word first) in units of 2⁻⁴⁸. A number that is not finite or whose
 * magnitude is not below `limit` (at most 512) adds 0; returns how many there were. Throws a RangeError if lengths differ.
 */
export function addFixedPoint(sum: Int32Array, gradient: Float32Array, limit = 512): number {
  return loadAddon().addon.addFixedPoint(sum, gradient, limit);
}
