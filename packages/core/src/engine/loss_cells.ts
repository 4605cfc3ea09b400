/** How the rows of `headLoss` are divided among cells, for every engine. */
import type { LossCell } from "./engine.ts";

/**
 * The cells of a call; one without gradient is one cell of all rows.
 * @throws RangeError if the cells do not have as many rows as the call.
 */
export function cellsOfLoss(
  R: number,
  cells: readonly LossCell[] | undefined,
): readonly { readonly R: number; readonly scale: number | undefined }[] {
  if (!cells) return [{ R, scale: undefined }];
  const rows = cells.reduce((sum, cell) => sum + cell.R, 0);
  if (rows !== R) throw new RangeError(`Cannot run headLoss: its cells have ${rows} rows, there are ${R}`);
  return cells;
}
