/** Whole rows, moved: they keep their bits. Those that come together are added. */
import { checkLengths } from "../shape.ts";

/** `y[r] = x[rows[r]]`. */
export function gatherRows(
  out: { y_RD: Float32Array },
  input: { x_TD: Float32Array; rows_R: Int32Array },
  { T, D }: { T: number; D: number },
): void {
  const { rows_R, x_TD } = input;
  checkLengths({ x_TD }, { T, D });
  checkLengths({ y_RD: out.y_RD }, { R: rows_R.length, D });
  checkRows("gatherRows", rows_R, T);
  for (const [r, row] of rows_R.entries()) out.y_RD.set(x_TD.subarray(row * D, (row + 1) * D), r * D);
}

/** `dx[rows[r]] = dy[r]`, summed in the order of r if rows repeat; all other rows 0. */
export function scatterRows(
  grad: { dx_TD: Float32Array },
  input: { dy_RD: Float32Array; rows_R: Int32Array },
  { T, D }: { T: number; D: number },
): void {
  const { rows_R, dy_RD } = input;
  checkLengths({ dx_TD: grad.dx_TD }, { T, D });
  checkLengths({ dy_RD }, { R: rows_R.length, D });
  checkRows("scatterRows", rows_R, T);
  grad.dx_TD.fill(0);
  const written = new Set<number>();
  for (const [r, row] of rows_R.entries()) {
    if (written.has(row)) for (let d = 0; d < D; d++) grad.dx_TD[row * D + d] += dy_RD[r * D + d];
    else grad.dx_TD.set(dy_RD.subarray(r * D, (r + 1) * D), row * D);
    written.add(row);
  }
}

function checkRows(name: string, rows_R: Int32Array, T: number): void {
  const wrong = rows_R.find((row) => row < 0 || row >= T);
  if (wrong !== undefined) throw new RangeError(`Cannot run ${name}: row ${wrong} is named, there are ${T}`);
}
