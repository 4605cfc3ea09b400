/**
 * Rows of a pass whose output anybody reads: those of labelled tokens. The last layer can leave the others out.
 *
 *   tokens   a b c d e | f g h      labelled   c d | g      rows_U   2 3 6      skips_S   2 1
 */
import type { SharedRows } from "./beginnings.ts";

/** U rows of a pass. */
export interface LabelledRows {
  /** Ascending, each once. */
  readonly rows_U: Int32Array;
  /** The place in `rows_U` of each labelled token's row. */
  readonly placeOf_R: Int32Array;
  /** Leading tokens of each sequence that need no query. */
  readonly skips_S: Int32Array;
}

/** Share of the rows that may be labelled: beyond it copying rows costs what is saved. */
const WORTH = 0.9;

/**
 * Finds the labelled rows of a pass of T rows, or returns undefined if they are nearly all.
 *
 * @param rows_R are the rows of labelled tokens. Tokens that share a row may repeat it.
 */
export function labelledRows(
  rows_R: Int32Array,
  T: number,
  cuSeqlens: Int32Array,
  shared: SharedRows | undefined,
): LabelledRows | undefined {
  const rows_U = Int32Array.from(new Set(rows_R)).toSorted();
  if (rows_U.length === 0 || rows_U.length > WORTH * T) return undefined;
  const places = new Map(Array.from(rows_U, (row, place) => [row, place]));
  const tokens = shared ? rows_U.map((row) => shared.tokenOf_C[row]) : rows_U;
  const skips_S = Int32Array.from(cuSeqlens.subarray(1), (end, s) => {
    const first = tokens.find((t) => t >= cuSeqlens[s]) ?? end;
    return Math.min(first, end) - cuSeqlens[s];
  });
  return { rows_U, placeOf_R: rows_R.map((row) => places.get(row) ?? -1), skips_S };
}
