/** What a pass says of the vectors and norms that its adapters tune, read from the engine: for each adapter its own. */
import type { DeviceArray, Engine } from "../engine/engine.ts";
import type { DecoderModel } from "./decoder.ts";
import type { TokenPrompts } from "./prompts.ts";
import type { LayerTuningGradient, MapGradient } from "./tuned.ts";
import { tunedRanges } from "./tuning.ts";

/** Gradients of the vectors of one map. */
export interface VectorsGradient {
  readonly dscale_N: Float32Array;
  readonly dbias_N: Float32Array;
}

/** Gradients of what one adapter tunes in a layer. */
interface LayerVectorsGradient {
  readonly maps: Readonly<Partial<Record<TunedName, VectorsGradient>>>;
  readonly norms: Readonly<Partial<Record<NormName, Float32Array>>>;
}

/** Gradients of what one adapter tunes. */
export interface TuningGradient {
  /** By layer, from the lowest that the pass went back to. */
  readonly layers: ReadonlyMap<number, LayerVectorsGradient>;
  readonly finalNorm: Float32Array | undefined;
  readonly head: VectorsGradient | undefined;
}

const mapNames = ["qkv", "o", "gateUp", "down"] as const;
const normNames = ["attnNorm", "mlpNorm"] as const;
type TunedName = (typeof mapNames)[number];
type NormName = (typeof normNames)[number];

/** What the top of a pass says of what is tuned there. */
export interface TopTuningGradient {
  /** Of the weights of the final norm. */
  readonly dweight_SD: DeviceArray | undefined;
  /** Of the head's vectors. */
  readonly vectors: MapGradient | undefined;
}

/** Of each range, undefined for one that tunes nothing. */
export async function readTuning(
  { engine, config }: DecoderModel,
  tuned: ReadonlyMap<number, LayerTuningGradient>,
  top: TopTuningGradient,
  ranges: readonly TokenPrompts[],
): Promise<(TuningGradient | undefined)[]> {
  const S = tunedRanges(ranges).length;
  if (S === 0) return ranges.map(() => undefined);
  const size = { S, D: config.hiddenSize };
  const layers = new Map<number, readonly LayerVectorsGradient[]>();
  for (const [layer, gradient] of tuned) layers.set(layer, await readLayer(engine, gradient, size));
  const finals = top.dweight_SD && rowsOf(await engine.read(top.dweight_SD), size.D, S);
  const heads = top.vectors && (await readSets(engine, top.vectors, S));
  let s = 0;
  return ranges.map(({ prompts }) => {
    if (!prompts.tuning) return undefined;
    const own = s++;
    return {
      layers: new Map([...layers].map(([layer, sets]) => [layer, sets[own]])),
      finalNorm: finals?.[own],
      head: heads?.[own],
    };
  });
}

async function readLayer(
  engine: Engine,
  gradient: LayerTuningGradient,
  { S, D }: { S: number; D: number },
): Promise<LayerVectorsGradient[]> {
  const maps = await Promise.all(
    mapNames.flatMap((name) => {
      const own = gradient[name];
      return own ? [readSets(engine, own, S).then((sets) => [name, sets] as const)] : [];
    }),
  );
  const norms = await Promise.all(
    normNames.flatMap((name) => {
      const own = gradient[name];
      return own ? [engine.read(own).then((rows) => [name, rowsOf(rows, D, S)] as const)] : [];
    }),
  );
  return Array.from({ length: S }, (_, s) => ({
    maps: Object.fromEntries(maps.map(([name, sets]) => [name, sets[s]])),
    norms: Object.fromEntries(norms.map(([name, sets]) => [name, sets[s]])),
  }));
}

/** The gradients of vectors of a single set. */
export async function readVectors(engine: Engine, gradient: MapGradient): Promise<VectorsGradient> {
  const [only] = await readSets(engine, gradient, 1);
  return only;
}

async function readSets(engine: Engine, { dscale_SN, dbias_SN }: MapGradient, S: number): Promise<VectorsGradient[]> {
  const [scales, biases] = await Promise.all([engine.read(dscale_SN), engine.read(dbias_SN)]);
  const N = scales.length / S;
  const dbiases = rowsOf(biases, N, S);
  return rowsOf(scales, N, S).map((dscale_N, s) => ({ dscale_N, dbias_N: dbiases[s] }));
}

/** The first S rows; those of norms may have one more, the base's. */
function rowsOf(values: Float32Array, N: number, S: number): Float32Array[] {
  return Array.from({ length: S }, (_, s) => values.subarray(s * N, (s + 1) * N));
}
