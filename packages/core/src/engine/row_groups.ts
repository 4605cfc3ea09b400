/** Groups of rows, each with a part of a weight of its own: sizes and checks that every engine shares. */
import type { Matrix, RowRange } from "./engine.ts";

/** One group: its rows, and those of the weight that they meet. */
export interface RowGroup {
  readonly rows: RowRange;
  readonly part: RowRange;
}

/**
 * Lists the groups that have rows, and how many rows there are in all.
 *
 * @throws RangeError for bounds that do not ascend from 0, and a weight whose rows they do not divide evenly.
 */
export function rowGroups(
  attempt: string,
  weight: Matrix,
  bounds: Int32Array,
): { groups: RowGroup[]; P: number; N: number } {
  const count = bounds.length - 1;
  const ascends = bounds.every((bound, g) => (g === 0 ? bound === 0 : bound >= bounds[g - 1]));
  if (count < 1 || !ascends || weight.rows % count !== 0) {
    const found = `bounds of ${count} groups are given for a weight of ${weight.rows} rows`;
    throw new RangeError(
      `Cannot run ${attempt}: ${found}, needed are bounds that ascend from 0, of groups that divide it evenly`,
    );
  }
  const N = weight.rows / count;
  const groups = Array.from({ length: count }, (_, g): RowGroup => {
    return { rows: [bounds[g], bounds[g + 1]], part: [g * N, (g + 1) * N] };
  });
  return { groups: groups.filter(({ rows: [from, to] }) => to > from), P: bounds[count], N };
}
