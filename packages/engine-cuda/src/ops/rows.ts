/** Whole rows: embedding and scattering. They are of the residual stream: float32. */
import type { DeviceArray, Engine, Matrix } from "@zerogate/core/engine";
import { type Runtime, rowwise } from "../runtime.ts";
import { table } from "../weights.ts";

export function embed(
  runtime: Runtime,
  matrix: Matrix,
  ids_T: Int32Array,
  { scale = 1, residual }: NonNullable<Parameters<Engine["embed"]>[2]>,
): DeviceArray {
  for (const id of ids_T) {
    if (!(id >= 0 && id < matrix.rows)) {
      throw new RangeError(`Cannot embed token ${id}: the vocabulary has ${matrix.rows} entries`);
    }
  }
  const [T, D] = [ids_T.length, matrix.columns];
  const y = runtime.array(T * D);
  const { at, type } = table(runtime, matrix);
  runtime.as("f32", [residual], (past) =>
    runtime.withData([ids_T], (ids) => {
      runtime.run("rows", `embed_${type}`, rowwise(T, D), [runtime.at(y), at, ids, past, D, scale]);
    }),
  );
  return y;
}

/** Not from the table alone: its kernel writes onto zeros, and sums rows that repeat in their order. */
export function scatterRows(
  runtime: Runtime,
  dy: DeviceArray,
  rows_R: Int32Array,
  { T, D }: { T: number; D: number },
): DeviceArray {
  const dx = runtime.array(T * D);
  runtime.clear(runtime.at(dx), 4 * T * D);
  runtime.as("f32", [dy], (at) =>
    runtime.withData(chains(rows_R, T), (rows, next) => {
      runtime.run("rows", "scatter_rows", rowwise(rows_R.length, D), [runtime.at(dx), at, rows, next, D]);
    }),
  );
  return dx;
}

/** Each row where it comes first (-1 if it comes again), and for each place the next with the same row (-1: none). */
function chains(rows_R: Int32Array, T: number): [firsts_R: Int32Array, next_R: Int32Array] {
  const last_T = new Int32Array(T).fill(-1);
  const next_R = new Int32Array(rows_R.length).fill(-1);
  const firsts_R = rows_R.map((row, r) => {
    const before = last_T[row] ?? -1;
    last_T[row] = r;
    if (before < 0) return row;
    next_R[before] = r;
    return -1;
  });
  return [firsts_R, next_R];
}
