/** What tokens of a pass have of the vectors and norms that their adapters tune, by layer. */
import type { DecoderModel } from "./decoder.ts";
import type { TokenPrompts } from "./prompts.ts";
import {
  type BoundTuning,
  type LayerTuning,
  type MapVectors,
  type Scaled,
  type Sets,
  type TunedMap,
  type TunedNorm,
  tunedMap,
  tunedNorm,
} from "./tuned.ts";

/** The ranges of a pass whose adapters tune, which have the rows of sets in this order. */
export function tunedRanges(ranges: readonly TokenPrompts[]): readonly (TokenPrompts & { tuning: BoundTuning })[] {
  return ranges.flatMap((range) => (range.prompts.tuning ? [{ ...range, tuning: range.prompts.tuning }] : []));
}

/** What tokens of a pass have of layer i; undefined if no adapter tunes. */
export function layerTuning(
  { engine, layers }: DecoderModel,
  i: number,
  ranges: readonly TokenPrompts[],
  T: number,
): LayerTuning | undefined {
  const tuned = tunedRanges(ranges);
  if (tuned.length === 0) return undefined;
  const sets = setsOf(tuned, T);
  const map = (name: "qkv" | "o" | "gateUp" | "down") =>
    tunedMap(
      engine,
      tuned.map(({ tuning, scale }) => [tuning.layers[i][name], scale]),
      sets,
    );
  const norm = (name: "attnNorm" | "mlpNorm") =>
    tunedNorm(
      engine,
      tuned.map(({ tuning, scale }) => [tuning.layers[i][name], scale]),
      layers[i][name]?.weight,
      sets,
    );
  return {
    qkv: map("qkv"),
    o: map("o"),
    gateUp: map("gateUp"),
    down: map("down"),
    attnNorm: norm("attnNorm"),
    mlpNorm: norm("mlpNorm"),
  };
}

/** What rows of the top layer's output have of the last norm and of the head. */
export interface TopTuning {
  readonly norm: TunedNorm | undefined;
  readonly head: TunedMap | undefined;
}

/** The same for rows of the top layer's output; undefined if no adapter tunes. */
export function topTuning(
  { engine, finalNorm }: DecoderModel,
  ranges: readonly TokenPrompts[],
  T: number,
  rows_R: Int32Array,
): TopTuning | undefined {
  const tuned = tunedRanges(ranges);
  if (tuned.length === 0) return undefined;
  const { rowOf_T, S } = setsOf(tuned, T);
  const sets = { rowOf_T: rows_R.map((t) => rowOf_T[t]), S };
  const weights = tuned.map(({ tuning, scale }): Scaled<Float32Array> => [tuning.finalNorm, scale]);
  const vectors = tuned.map(({ tuning, scale }): Scaled<MapVectors> => [tuning.head, scale]);
  return { norm: tunedNorm(engine, weights, finalNorm.weight, sets), head: tunedMap(engine, vectors, sets) };
}

function setsOf(tuned: readonly TokenPrompts[], T: number): Sets {
  const rowOf_T = new Int32Array(T).fill(-1);
  for (const [s, { tokens: [from, to] = [0, T] }] of tuned.entries()) rowOf_T.fill(s, from, to);
  return { rowOf_T, S: tuned.length };
}
