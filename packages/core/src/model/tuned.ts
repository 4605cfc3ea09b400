/**
 * Trained vectors beside the linear maps of a frozen base and trained weights of its norms (LLaMA-Adapter V2, arXiv:2304.15010), for the
 * tokens of one pass:
 *
 *   y = scale ∘ (W·x + b₀ + bias)
 *
 * Each token has the vectors of its own adapter, a set each, or the base's. S sets · shape suffixes: engine.ts.
 */
import type { DeviceArray, Engine, Matrix } from "../engine/engine.ts";

/** Vectors of one map, as long as its outputs. */
export interface MapVectors {
  readonly scale_N: Float32Array;
  readonly bias_N: Float32Array;
}

/** What one adapter tunes in a layer: of merged maps the vectors one after another. */
export interface LayerVectors {
  readonly qkv?: MapVectors | undefined;
  readonly o?: MapVectors | undefined;
  readonly gateUp?: MapVectors | undefined;
  readonly down?: MapVectors | undefined;
  readonly attnNorm?: Float32Array | undefined;
  readonly mlpNorm?: Float32Array | undefined;
}

/** What one adapter tunes. */
export interface BoundTuning {
  readonly layers: readonly LayerVectors[];
  readonly finalNorm?: Float32Array | undefined;
  readonly head?: MapVectors | undefined;
}

/** The sets of tokens in a pass: token t has those of row `rowOf_T[t]`, -1 being the base. */
export interface Sets {
  readonly rowOf_T: Int32Array;
  readonly S: number;
}

/** Vectors of a map for the tokens of a pass. */
export interface TunedMap extends Sets {
  readonly scale_SN: DeviceArray;
  readonly bias_SN: DeviceArray;
  readonly N: number;
}

/** Weights of a norm for the tokens of a pass. The base's are the last row, if a token has them. */
export interface TunedNorm extends Sets {
  readonly weight_SD: DeviceArray;
}

/** What is tuned in a layer of a pass. */
export interface LayerTuning {
  readonly qkv: TunedMap | undefined;
  readonly o: TunedMap | undefined;
  readonly gateUp: TunedMap | undefined;
  readonly down: TunedMap | undefined;
  readonly attnNorm: TunedNorm | undefined;
  readonly mlpNorm: TunedNorm | undefined;
}

/** What an adapter has, and how much of it counts: 0 is the base, 1 the adapter. */
export type Scaled<Vectors> = readonly [own: Vectors | undefined, scale: number];

export function tunedMap(engine: Engine, vectors: readonly Scaled<MapVectors>[], sets: Sets): TunedMap | undefined {
  const N = vectors.find(([own]) => own)?.[0]?.bias_N.length;
  if (N === undefined) return undefined;
  const { S } = sets;
  const [scales, biases] = [new Float32Array(S * N).fill(1), new Float32Array(S * N)];
  // Tokens of an adapter that does not tune this map keep the bits of the base.
  const rowOf_T = sets.rowOf_T.map((row) => (vectors[row]?.[0] ? row : -1));
  for (const [s, [own, scale]] of vectors.entries()) {
    if (!own) continue;
    scales.set(scale === 1 ? own.scale_N : own.scale_N.map((factor) => 1 + scale * (factor - 1)), s * N);
    biases.set(scale === 1 ? own.bias_N : own.bias_N.map((bias) => scale * bias), s * N);
  }
  return { rowOf_T, S, N, scale_SN: engine.upload(scales), bias_SN: engine.upload(biases) };
}

export function tunedNorm(
  engine: Engine,
  vectors: readonly Scaled<Float32Array>[],
  weight_D: Matrix | undefined,
  { rowOf_T, S }: Sets,
): TunedNorm | undefined {
  const D = vectors.find(([own]) => own)?.[0]?.length;
  if (D === undefined || !weight_D) return undefined;
  const isOwn = (row: number) => row >= 0 && vectors[row]?.[0] !== undefined;
  const hasBase = !rowOf_T.every(isOwn);
  const rows = hasBase ? S + 1 : S;
  const weights = new Float32Array(rows * D);
  for (const [s, [own, scale]] of vectors.entries()) {
    if (own) weights.set(scale === 1 ? own : own.map((weight) => scale * weight), s * D);
  }
  // The share of the base in each row: all of the last one, none of an adapter that counts whole.
  const shares = [...vectors.map(([own, scale]) => (own ? 1 - scale : 0)), ...(hasBase ? [1] : [])];
  const size = { T: rows, D };
  let weight_SD = engine.upload(weights);
  for (const [row, factor] of shares.entries()) {
    if (factor === 0) continue;
    const base_D = engine.embed(
      weight_D,
      Int32Array.from({ length: weight_D.rows }, (_, i) => i),
    );
    weight_SD = engine.addScaled(weight_SD, engine.scatterRows(base_D, Int32Array.of(row), size), { ...size, factor });
  }
  return { rowOf_T: rowOf_T.map((row) => (isOwn(row) ? row : S)), S: rows, weight_SD };
}

/** One adapter's vectors for rows of its own, such as its prompts. */
export function mapOfRows(engine: Engine, vectors: MapVectors, T: number): TunedMap | undefined {
  return tunedMap(engine, [[vectors, 1]], { rowOf_T: new Int32Array(T), S: 1 });
}

/** y = scale ∘ (u + bias) (+ residual). */
export function tune(
  engine: Engine,
  u_TN: DeviceArray,
  { scale_SN, bias_SN, rowOf_T, S, N }: TunedMap,
  residual_TN?: DeviceArray,
): DeviceArray {
  const vectors = { scale_SN, bias_SN, ...(residual_TN && { residual_TN }) };
  return engine.scaleShift(u_TN, vectors, rowOf_T, { T: rowOf_T.length, N, S });
}

/** Gradients of a map's vectors, a row for each set. */
export interface MapGradient {
  readonly dscale_SN: DeviceArray;
  readonly dbias_SN: DeviceArray;
}

/** Gradient of the map's own result, and of its vectors. */
export function tuneBackward(
  engine: Engine,
  dy_TN: DeviceArray,
  u_TN: DeviceArray,
  { scale_SN, bias_SN, rowOf_T, S, N }: TunedMap,
): { du_TN: DeviceArray } & MapGradient {
  return engine.scaleShiftBackward({ dy_TN, u_TN, scale_SN, bias_SN }, rowOf_T, { T: rowOf_T.length, N, S });
}

/** Gradients of what a pass tunes in one layer. */
export interface LayerTuningGradient {
  readonly qkv?: MapGradient | undefined;
  readonly o?: MapGradient | undefined;
  readonly gateUp?: MapGradient | undefined;
  readonly down?: MapGradient | undefined;
  readonly attnNorm?: DeviceArray | undefined;
  readonly mlpNorm?: DeviceArray | undefined;
}
