/**
 * Output head and cross-entropy of labelled tokens, in chunks of rows: a `[T, V]` matrix never exists.
 *
 *   nll[r] = logΣ_v exp(z[r, v]) − z[r, label[r]]  in nats,   z = y·headᵀ, or cap · tanh(y·headᵀ/cap) under a soft cap
 *   hit[r] = 1 if label[r] = argmax_v z[r, v] (the lowest of equals) else 0
 *   dy[r] = scale · ((softmax(z[r]) − onehot(label[r])) ∘ z'[r])·head,   z' = 1, or 1 − (z/cap)²
 */
import { checkLengths } from "../shape.ts";
import { capNumbers } from "./cap.ts";
import { linearBackward, linearForward } from "./linear.ts";

/** Rows of logits held at a time; a multiple of the 4 that `linear` takes together. */
const CHUNK_ROWS = 64;

/** `dy_RD` is written only if `scale` (1 / labelled tokens of the whole step) is given. */
export function headLossForwardBackward(
  out: { nll_R: Float32Array; hit_R: Float32Array; dy_RD?: Float32Array | undefined },
  input: { y_RD: Float32Array; head_VD: Float32Array; labels_R: Int32Array },
  { R, D, V, scale = 0, cap = 0 }: { R: number; D: number; V: number; scale?: number | undefined; cap?: number },
): void {
  const { nll_R, hit_R, dy_RD } = out;
  const { y_RD, head_VD, labels_R } = input;
  checkLengths({ y_RD, ...(dy_RD && { dy_RD }) }, { R, D });
  checkLengths({ head_VD }, { V, D });
  checkLengths({ labels_R, nll_R, hit_R }, { R });
  const scratch = new Float32Array(Math.min(CHUNK_ROWS, R) * V);
  for (let from = 0; from < R; from += CHUNK_ROWS) {
    const rows = Math.min(CHUNK_ROWS, R - from);
    const z = scratch.subarray(0, rows * V);
    const size = { T: rows, N: V, K: D };
    linearForward({ y_TN: z }, { x_TK: y_RD.subarray(from * D, (from + rows) * D), w_NK: head_VD }, size);
    if (cap > 0) capNumbers(z, z, cap);
    for (let r = 0; r < rows; r++) {
      const label = labels_R[from + r];
      if (!(label >= 0 && label < V)) throw new RangeError(`Cannot score label ${label}: the head has ${V} rows`);
      hit_R[from + r] = isArgmax(z, r * V, V, label) ? 1 : 0;
      nll_R[from + r] = rowLoss(z.subarray(r * V, (r + 1) * V), label, { scale: dy_RD && scale, cap });
    }
    if (dy_RD) {
      linearBackward({ dx_TK: dy_RD.subarray(from * D, (from + rows) * D) }, { dy_TN: z, w_NK: head_VD }, size);
    }
  }
}

function isArgmax(z: Float32Array, at: number, V: number, label: number): boolean {
  const own = z[at + label];
  for (let v = 0; v < V; v++) if (z[at + v] > own || (z[at + v] === own && v < label)) return false;
  return true;
}

/** Loss of one row of logits; with a scale the row is turned into its gradient. */
function rowLoss(z: Float32Array, label: number, { scale, cap }: { scale: number | undefined; cap: number }): number {
  const V = z.length;
  let max = -Infinity;
  for (let v = 0; v < V; v++) if (z[v] > max) max = z[v];
  let sum = 0;
  for (let v = 0; v < V; v++) sum += Math.exp(z[v] - max);
  const lse = max + Math.log(sum);
  const own = z[label];
  if (scale !== undefined) {
    const slope = (of: number) => (cap > 0 ? 1 - (of / cap) ** 2 : 1);
    for (let v = 0; v < V; v++) z[v] = scale * Math.exp(z[v] - lse) * slope(z[v]);
    z[label] -= scale * slope(own);
  }
  return lse - own;
}
