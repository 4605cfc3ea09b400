/** Core's fixed-point sums, added on the GPU: same unit, limit and bits. */
import { ADDEND_LIMIT } from "@zerogate/core/engine";
import { elementwise, type Runtime } from "../runtime.ts";

/**
 * Adds `gradient` to `sum` as core's `addFixedPoint` does. Returns how many numbers could not be added.
 * @throws RangeError if lengths differ or the limit is not above 0 and at most 512.
 */
export function addFixedPoint(
  runtime: Runtime,
  sum: Int32Array,
  gradient: Float32Array,
  limit: number = ADDEND_LIMIT,
): number {
  const { length } = gradient;
  if (sum.length !== 2 * length) {
    throw new RangeError(`Cannot use fixed-point sums: ${sum.length / 2} numbers there, ${length} are needed`);
  }
  if (!(limit > 0 && limit <= ADDEND_LIMIT)) {
    throw new RangeError(`Cannot add a gradient: limit is ${limit}, above 0 and at most ${ADDEND_LIMIT} is needed`);
  }
  if (length === 0) return 0;
  const launch = elementwise(length);
  const [blocks] = launch.grid;
  const counts = new Float32Array(blocks);
  const view = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => new Uint8Array(buffer, byteOffset, byteLength);
  runtime.withData([sum, gradient, counts], (sumAt = 0n, gradientAt, countsAt = 0n) => {
    runtime.run("sum", "add_fixed_point", launch, [sumAt, countsAt, gradientAt, BigInt(length), limit]);
    runtime.staging.download(view(sum), sumAt);
    runtime.staging.download(view(counts), countsAt);
  });
  return counts.reduce((all, count) => all + count, 0);
}
