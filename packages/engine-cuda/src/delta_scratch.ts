/** What the backward of a gated delta rule takes on the GPU besides its inputs and outputs. */
import { type DeltaSize, deltaWidths } from "@zerogate/core/engine";

/** Warps that share the rows of a head in backward; each has sums of its own. */
export const STRIPES = 4;

type Widths = Omit<DeltaSize, "T" | "taps">;

/** Returns the numbers of a token in each array of it. */
export function scratchWidths(size: Widths): number[] {
  const { keyHeads: J, keyDim: A, valueHeads: N } = size;
  const { C } = deltaWidths(size);
  return [C, 2 * J * A, C, STRIPES * 2 * N * A, STRIPES * 2 * N, N * STRIPES * A];
}

/** The array that has a row more for each sequence. */
export const STATES = 5;

/** Counts the numbers of a token in all of it. */
export const scratchNumbers = (size: Widths): number => scratchWidths(size).reduce((sum, width) => sum + width, 0);
