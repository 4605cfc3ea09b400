/** Groups of rows with parts of a weight, and reading without waiting, which WebGPU cannot. */
import { type Engine, type Matrix, type RowGroup, type RowRange, rowGroups } from "@zerogate/core/engine";
import type { Arrays, TfjsArray } from "./arrays.ts";
import type { Backend, Tensor } from "./tf.ts";

export function experts(
  backend: Backend,
  { compute, own: owned, view }: Arrays,
  tensorOf: (matrix: Matrix) => Tensor,
): Required<Pick<Engine, "readNow" | "groupedLinear" | "groupedLinearBackward">> {
  const { tf, products } = backend;
  const some = (x: Tensor, [from, to]: RowRange) => {
    const columns = x.shape[1] ?? 1;
    return tf.reshape(tf.slice(x, [from, 0], [to - from, columns]), [1, to - from, columns]);
  };
  // As one batch each: a backend may keep what it prepared for the tensor of a weight, and parts live as long as the operation.
  const each = (x: Tensor, weight: Tensor, groups: readonly RowGroup[], columns: number, isForward: boolean) => {
    const parts = groups.map(({ rows, part: own }) => {
      const product = products.batched(some(x, rows), some(weight, own), false, isForward);
      return tf.reshape(product, [rows[1] - rows[0], columns]);
    });
    return parts.length > 0 ? tf.concat(parts) : tf.zeros([0, columns]);
  };
  return {
    readNow(array) {
      const { tensor } = array as TfjsArray;
      if (!tensor) throw new RangeError("Cannot read an array: it is free already");
      return (tensor.dataSync() as Float32Array).slice();
    },
    groupedLinear(x, matrix, bounds) {
      const { groups, P, N } = rowGroups("groupedLinear", matrix, bounds);
      return owned(compute(() => each(view(x, [P, matrix.columns]), tensorOf(matrix), groups, N, true)));
    },
    groupedLinearBackward(dy, matrix, bounds) {
      const { groups, P, N } = rowGroups("groupedLinearBackward", matrix, bounds);
      return owned(compute(() => each(view(dy, [P, N]), tensorOf(matrix), groups, matrix.columns, false)));
    },
  };
}
