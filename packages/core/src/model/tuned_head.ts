/**
 * Head and loss of labelled tokens under a tuned head, z = scale ∘ (W·h + bias): products on the engine, the softmax on the host in
 * float64, in chunks of a cell's own rows, so that a `[R, V]` matrix never exists and a cell has the bits that it has alone.
 */
import type { DeviceArray, Engine, LossCell } from "../engine/engine.ts";
import type { DecoderModel } from "./decoder.ts";
import { type MapGradient, type TunedMap, tune, tuneBackward } from "./tuned.ts";

/** Rows whose logits exist at the same time. */
const CHUNK = 64;

/** As the engine's `headLoss`, and the gradient of the vectors. */
export interface TunedHeadLoss {
  readonly nll_R: DeviceArray;
  readonly hit_R: DeviceArray;
  readonly dy_RD: DeviceArray | undefined;
  readonly vectors: MapGradient | undefined;
}

/** Loss of rows `[R, D]` behind the final norm; with cells their gradient and that of the vectors. Rows without vectors are the engine's. */
export async function tunedHeadLoss(
  model: DecoderModel,
  h_RD: DeviceArray,
  labels_R: Int32Array,
  cells: readonly LossCell[] | undefined,
  tuned: TunedMap,
): Promise<TunedHeadLoss> {
  const { engine, config } = model;
  const [R, D] = [labels_R.length, config.hiddenSize];
  const [nll_R, hit_R] = [new Float32Array(R), new Float32Array(R)];
  const dy_RD = cells && new Float32Array(R * D);
  let vectors: MapGradient | undefined;
  for (const chunk of chunksOf(cells, tuned.rowOf_T)) {
    const { from, to, isTuned } = chunk;
    const rows = Int32Array.from({ length: to - from }, (_, r) => from + r);
    const some_TD = engine.gatherRows(h_RD, rows, { T: R, D });
    const input = { h_TD: some_TD, labels_T: labels_R.subarray(from, to), scale: cells ? chunk.scale : undefined };
    const own = { ...tuned, rowOf_T: tuned.rowOf_T.subarray(from, to) };
    const loss = await (isTuned ? tunedRows(model, input, own) : plainRows(model, input));
    nll_R.set(loss.nll_T, from);
    hit_R.set(loss.hit_T, from);
    if (loss.dy_TD) dy_RD?.set(loss.dy_TD, from * D);
    if (loss.vectors) vectors = vectors ? added(engine, vectors, loss.vectors, own) : loss.vectors;
    engine.free(some_TD);
  }
  return {
    nll_R: engine.upload(nll_R),
    hit_R: engine.upload(hit_R),
    dy_RD: dy_RD && engine.upload(dy_RD),
    vectors,
  };
}

interface RowsInput {
  readonly h_TD: DeviceArray;
  readonly labels_T: Int32Array;
  /** Of the gradient. @default none is asked for */
  readonly scale: number | undefined;
}

interface RowsLoss {
  readonly nll_T: Float32Array;
  readonly hit_T: Float32Array;
  readonly dy_TD: Float32Array | undefined;
  readonly vectors?: MapGradient;
}

async function tunedRows(
  { engine, head }: DecoderModel,
  { h_TD, labels_T, scale }: RowsInput,
  tuned: TunedMap,
): Promise<RowsLoss> {
  const [T, V] = [labels_T.length, head.rows];
  const u_TV = engine.linear(h_TD, head, { T, order: "packed", toRead: true });
  const z_TV = tune(engine, u_TV, tuned);
  const logits = await engine.read(z_TV);
  const rows = Array.from(labels_T, (label, t) => softmaxLoss(logits.subarray(t * V, (t + 1) * V), label, scale ?? 0));
  const [nll_T, hit_T] = [Float32Array.from(rows, ({ nll }) => nll), Float32Array.from(rows, ({ hit }) => hit)];
  if (scale === undefined) return { nll_T, hit_T, dy_TD: undefined };
  const { du_TN, ...vectors } = tuneBackward(engine, engine.upload(logits), u_TV, tuned);
  const dh_TD = engine.linearBackward(du_TN, head, { T, toRead: true });
  const dy_TD = await engine.read(dh_TD);
  engine.free(u_TV, z_TV, du_TN, dh_TD);
  return { nll_T, hit_T, dy_TD, vectors };
}

async function plainRows(
  { engine, config, head }: DecoderModel,
  { h_TD, labels_T, scale }: RowsInput,
): Promise<RowsLoss> {
  const R = labels_T.length;
  const size = { R, D: config.hiddenSize, cap: config.logitCap };
  const loss = engine.headLoss(h_TD, head, labels_T, {
    ...size,
    ...(scale !== undefined && { cells: [{ R, scale }] }),
  });
  const [nll_T, hit_T] = [await engine.read(loss.nll_R), await engine.read(loss.hit_R)];
  const dy_TD = loss.dy_RD && (await engine.read(loss.dy_RD));
  engine.free(loss.nll_R, loss.hit_R, loss.dy_RD);
  return { nll_T, hit_T, dy_TD };
}

function added(engine: Engine, a: MapGradient, b: MapGradient, { S, N }: TunedMap): MapGradient {
  const size = { T: S, D: N, factor: 1 };
  return {
    dscale_SN: engine.addScaled(a.dscale_SN, b.dscale_SN, size),
    dbias_SN: engine.addScaled(a.dbias_SN, b.dbias_SN, size),
  };
}

/** Rows that are computed at once: of one cell, and all with vectors or all without. */
interface Chunk {
  readonly from: number;
  readonly to: number;
  readonly scale: number;
  readonly isTuned: boolean;
}

/** Those with vectors in pieces that begin at a cell's own first row, the others of a cell all together, as the engine takes them. */
function chunksOf(cells: readonly LossCell[] | undefined, rowOf_R: Int32Array): Chunk[] {
  let start = 0;
  return (cells ?? [{ R: rowOf_R.length, scale: 0 }]).flatMap(({ R, scale }) => {
    const chunks: Chunk[] = [];
    const end = start + R;
    while (start < end) {
      const isTuned = rowOf_R[start] >= 0;
      const alike = rowOf_R.subarray(start, isTuned ? Math.min(end, start + CHUNK) : end);
      const other = alike.findIndex((row) => row >= 0 !== isTuned);
      const to = start + (other < 0 ? alike.length : other);
      chunks.push({ from: start, to, scale, isTuned });
      start = to;
    }
    return chunks;
  });
}

/** Negative log-likelihood in nats and greedy hit of one row of logits, which becomes `scale · (softmax − onehot)`. */
function softmaxLoss(row: Float32Array, label: number, scale: number): { nll: number; hit: 0 | 1 } {
  let best = 0;
  for (let v = 1; v < row.length; v++) if (row[v] > row[best]) best = v;
  const most = row[best];
  const own = row[label];
  let sum = 0;
  for (const z of row) sum += Math.exp(z - most);
  for (let v = 0; v < row.length; v++) row[v] = scale * (Math.exp(row[v] - most) / sum - (v === label ? 1 : 0));
  return { nll: Math.log(sum) + most - own, hit: best === label ? 1 : 0 };
}
