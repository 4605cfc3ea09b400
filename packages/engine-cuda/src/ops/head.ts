/** Head and loss of labelled tokens, a chunk of rows at a time: `[R, V]` never exists. */
import { cellsOfLoss, type DeviceArray, type Engine, type LossCell, type Matrix } from "@zerogate/core/engine";
import { CHUNK_LOGITS } from "../memory_plan.ts";
import { bytesOf, type Runtime, rowwise } from "../runtime.ts";
import { withFactor } from "../weights.ts";

/** Rows that are scored at a time: a cell's own, so that they have the bits that they have alone. */
function chunksOf(R: number, cells: readonly LossCell[] | undefined, most: number) {
  const chunks: { from: number; T: number; scale: number | undefined }[] = [];
  let begin = 0;
  for (const { R: own, scale } of cellsOfLoss(R, cells)) {
    for (let row = 0; row < own; row += most) chunks.push({ from: begin + row, T: Math.min(most, own - row), scale });
    begin += own;
  }
  return chunks;
}

export function headLoss(
  runtime: Runtime,
  y_RD: DeviceArray,
  head: Matrix,
  labels_R: Int32Array,
  { R, D, cap = 0, cells }: Parameters<Engine["headLoss"]>[3],
): ReturnType<Engine["headLoss"]> {
  const { inner } = runtime;
  const V = head.rows;
  for (const label of labels_R) {
    if (!(label >= 0 && label < V))
      throw new RangeError(`Cannot score label ${label}: the vocabulary has ${V} entries`);
  }
  const [nll_R, hit_R] = [runtime.array(R), runtime.array(R)];
  const dy_RD = cells && runtime.array(R * D, inner);
  const rows = Math.min(R, Math.max(1, Math.floor(CHUNK_LOGITS / V)));
  const logits = runtime.array(rows * V);
  const dlogits = dy_RD && runtime.array(rows * V, inner);
  withFactor(runtime, head, [0, V], (weight) =>
    runtime.as(inner, [y_RD], (y = 0n) =>
      runtime.withData([labels_R], (labels = 0n) => {
        for (const { from, T, scale } of chunksOf(R, cells, rows)) {
          const at = (address: bigint, width: number) => address + BigInt(from * width);
          const row = D * bytesOf[inner];
          runtime.multiply(
            { T, N: V, K: D, transposed: true, input: inner, output: "f32" },
            { y: runtime.at(logits), x: at(y, row), weight, residual: undefined },
          );
          const out = [at(runtime.at(nll_R), 4), at(runtime.at(hit_R), 4), dlogits && runtime.at(dlogits)];
          const args = [...out, runtime.at(logits), at(labels, 4), V, scale ?? 0, cap];
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
