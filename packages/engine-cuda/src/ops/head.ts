/** Head and loss of labelled tokens, a chunk of rows at a time: `[R, V]` never exists. */
import type { DeviceArray, Engine, Matrix } from "@zerogate/core";
import { CHUNK_LOGITS } from "../plan.ts";
import { bytesOf, type Runtime, rowwise } from "../runtime.ts";
import { withFactor } from "../weights.ts";

export function headLoss(
  runtime: Runtime,
  y_RD: DeviceArray,
  head: Matrix,
  labels_R: Int32Array,
  { R, D, scale }: { R: number; D: number; scale?: number },
): ReturnType<Engine["headLoss"]> {
  const { inner } = runtime;
  const V = head.rows;
  for (const label of labels_R) {
    if (!(label >= 0 && label < V))
      throw new RangeError(`Cannot score label ${label}: the vocabulary has ${V} entries`);
  }
  const [nll_R, hit_R] = [runtime.array(R), runtime.array(R)];
  const dy_RD = scale === undefined ? undefined : runtime.array(R * D, inner);
  const rows = Math.min(R, Math.max(1, Math.floor(CHUNK_LOGITS / V)));
  const logits = runtime.array(rows * V);
  const dlogits = dy_RD && runtime.array(rows * V, inner);
  withFactor(runtime, head, [0, V], (weight) =>
    runtime.as(inner, [y_RD], (y = 0n) =>
      runtime.withData([labels_R], (labels = 0n) => {
        for (let from = 0; from < R; from += rows) {
          const T = Math.min(rows, R - from);
          const at = (address: bigint, width: number) => address + BigInt(from * width);
          const row = D * bytesOf[inner];
          runtime.multiply(
            { T, N: V, K: D, transposed: true, input: inner, output: "f32" },
            { y: runtime.at(logits), x: at(y, row), weight, residual: undefined },
          );
          const out = [at(runtime.at(nll_R), 4), at(runtime.at(hit_R), 4), dlogits && runtime.at(dlogits)];
          const args = [...out, runtime.at(logits), at(labels, 4), V, scale ?? 0];
          runtime.run("head", "cross_entropy", rowwise(T, V), args);
          if (!dy_RD || !dlogits) continue;
          runtime.multiply(
            { T, N: D, K: V, transposed: false, input: inner, output: inner },
            { y: at(runtime.at(dy_RD), row), x: runtime.at(dlogits), weight, residual: undefined },
          );
        }
      }),
    ),
  );
  runtime.free(logits, dlogits);
  return dy_RD ? { nll_R, hit_R, dy_RD } : { nll_R, hit_R };
}
