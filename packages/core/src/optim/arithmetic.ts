/** What a leader computes between two steps over all parameters. Native code may take its place: with the same bits. */
import { addSums, type FixedPointSum, readFixedPoint } from "../sum/fixed_point.ts";
import { type AdamWArrays, type AdamWUpdate, updateRange } from "./adamw.ts";
import { globalNorm, scale } from "./clip.ts";

/** Loops over parameters. Throws a RangeError if lengths differ. */
export interface StepArithmetic {
  /** Writes the total of all `sums` to `out`, which may be one of them. */
  addSums(out: FixedPointSum, sums: readonly FixedPointSum[]): void;
  /** Writes the total of all `sums` as the nearest float32. The first of `sums` may be changed. */
  readSums(out: Float32Array, sums: readonly FixedPointSum[]): void;
  /** Euclidean norm, summed in float64 in index order. */
  globalNorm(gradient: Float32Array): number;
  /** Multiplies in place. */
  scale(gradient: Float32Array, factor: number): void;
  /** One range of an AdamW step. */
  updateRange(arrays: AdamWArrays, range: AdamWUpdate): void;
}

/** In TypeScript, on this thread. */
export const plainArithmetic: StepArithmetic = {
  addSums(out, sums) {
    const [first, ...others] = sums;
    if (!first) throw new RangeError("Cannot add sums: there are none");
    const rest = sums.includes(out) ? sums.filter((sum) => sum !== out) : others;
    if (rest === others) out.set(first);
    for (const sum of rest) addSums(out, sum);
  },
  readSums(out, sums) {
    const [first, ...others] = sums;
    if (!first) throw new RangeError("Cannot read sums: there are none");
    for (const sum of others) addSums(first, sum);
    readFixedPoint(first, out);
  },
  globalNorm,
  scale,
  updateRange,
};
