/** Order-independent gradient sums, natively: the bits of core's `sum/fixed_point.ts`. */
import { chooseLevel, loadAddon, type NativeEngine } from "./addon.ts";

let engine: NativeEngine | undefined;

/**
 * Adds `gradient` to the int64 sums (2 words each, low word first) in units of 2⁻⁴⁸. A number that is not finite or whose
 * magnitude is not below `limit` (at most 512) adds 0; returns how many there were. Throws a RangeError if lengths differ.
 */
export function addFixedPoint(sum: Int32Array, gradient: Float32Array, limit = 512): number {
  const { addon } = loadAddon();
  engine ??= addon.open(chooseLevel(addon), 1, false);
  return addon.addFixedPoint(engine, sum, gradient, limit);
}
