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

/** Not from the table alone: its kernel writes onto zeros. */
export function scatterRows(
  runtime: Runtime,
  dy: DeviceArray,
  rows_R: Int32Array,
  { T, D }: { T: number; D: number },
): DeviceArray {
  const dx = runtime.array(T * D);
  runtime.clear(runtime.at(dx), 4 * T * D);
  runtime.as("f32", [dy], (at) =>
    runtime.withData([rows_R], (rows) => {
      runtime.run("rows", "scatter_rows", rowwise(rows_R.length, D), [runtime.at(dx), at, rows, D]);
    }),
  );
  return dx;
}
