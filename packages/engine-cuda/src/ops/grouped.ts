/** Groups of rows, each times a part of a weight: one product a group. */
import { type DeviceArray, type Matrix, rowGroups } from "@zerogate/core/engine";
import { bytesOf, type Runtime } from "../runtime.ts";
import { withFactor } from "../weights.ts";

export function groupedLinear(runtime: Runtime, x: DeviceArray, weight: Matrix, bounds: Int32Array): DeviceArray {
  return grouped(runtime, x, weight, bounds, false);
}

export function groupedLinearBackward(
  runtime: Runtime,
  dy: DeviceArray,
  weight: Matrix,
  bounds: Int32Array,
): DeviceArray {
  return grouped(runtime, dy, weight, bounds, true);
}

function grouped(
  runtime: Runtime,
  x: DeviceArray,
  weight: Matrix,
  bounds: Int32Array,
  isBackward: boolean,
): DeviceArray {
  const { inner } = runtime;
  const { groups, P, N } = rowGroups(isBackward ? "groupedLinearBackward" : "groupedLinear", weight, bounds);
  const [to, from] = isBackward ? [weight.columns, N] : [N, weight.columns];
  const y = runtime.array(P * to, inner);
  const row = (at: bigint, width: number, first: number) => at + BigInt(first * width * bytesOf[inner]);
  runtime.as(inner, [x], (at = 0n) => {
    for (const { rows, part } of groups) {
      const product = {
        T: rows[1] - rows[0],
        N: to,
        K: from,
        transposed: !isBackward,
        input: inner,
        output: inner,
      } as const;
      const operands = { y: row(runtime.at(y), to, rows[0]), x: row(at, from, rows[0]), residual: undefined };
      withFactor(runtime, weight, part, (factor) => runtime.multiply(product, { ...operands, weight: factor }));
    }
  });
  return y;
}
