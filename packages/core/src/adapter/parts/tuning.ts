/**
 * What an adapter trains of the base itself (LLaMA-Adapter V2, arXiv:2304.15010; spec of V2 §1): vectors of linear maps, biases that
 * start as 0 and factors that start as 1, and weights of norms that start as the base's. At its start such an adapter is the base.
 * Weight decay would pull factors and norms to 0 and with them the base: it applies to none of these parts.
 */
import type { BoundTuning, LayerVectors, MapVectors } from "../../model/tuned.ts";
import type { TuningGradient, VectorsGradient } from "../../model/tuning_gradient.ts";
import { weightNames } from "../../model/weights.ts";
import { ADDEND_LIMIT } from "../../sum/fixed_point.ts";
import type { AdapterState } from "../kinds/kind.ts";
import { type AdaptedBase, type AdapterLayout, type TunableMap, type TuningShape, tunableMaps } from "../layout.ts";
import { partNumbers, type TrainedPart } from "../parameters.ts";

/** The file of an adapter folder that has what is tuned of the base. */
export const TUNING_FILE = "tuning.safetensors";

/** Names of maps in files, whatever a base calls its own. */
const mapPaths: Readonly<Record<TunableMap, string>> = {
  q: "self_attn.q_proj",
  k: "self_attn.k_proj",
  v: "self_attn.v_proj",
  o: "self_attn.o_proj",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  down: "mlp.down_proj",
};
const HEAD = "lm_head";
/** Maps that engines have as one, their rows one after another. */
const merged = { qkv: ["q", "k", "v"], o: ["o"], gateUp: ["gate", "up"], down: ["down"] } as const;
const normPaths = { attnNorm: "input_layernorm", mlpNorm: "post_attention_layernorm" } as const;
const mergedNames = ["qkv", "o", "gateUp", "down"] as const;
const normNames = ["attnNorm", "mlpNorm"] as const;

const part = (
  name: string,
  own: Pick<TrainedPart, "part" | "layer" | "shape" | "init">,
): Omit<TrainedPart, "offset"> => ({
  name,
  ...own,
  decays: [],
  learningRateFactor: 1,
  group: 0,
  gradientLimit: ADDEND_LIMIT,
  file: TUNING_FILE,
  fileName: name,
});

/** The parts of all layers, ascending, and the final norm. */
export function tuningParts(
  { maps, vectors, norms, head }: TuningShape,
  { layers, hiddenSize: D, outputs }: AdaptedBase,
): Omit<TrainedPart, "offset">[] {
  if (!outputs) throw new RangeError("Cannot tune a base: the sizes of its maps are not known");
  const vectorsOf = (path: string, own: { layer: number | undefined; shape: readonly number[] }) => {
    const bias = part(`${path}.bias`, { ...own, part: "bias", init: "zeros" });
    return vectors === "bias" ? [bias] : [bias, part(`${path}.scale`, { ...own, part: "scale", init: "ones" })];
  };
  const all = Array.from({ length: layers }, (_, layer) => [
    ...tunableMaps
      .filter((map) => maps.includes(map))
      .flatMap((map) => vectorsOf(`layers.${layer}.${mapPaths[map]}`, { layer, shape: [outputs[map]] })),
    ...(norms ? normNames : []).map((norm) => {
      const init = { base: weightNames.layer(layer, norm) };
      return part(`layers.${layer}.${normPaths[norm]}.weight`, { part: "norm", layer, shape: [D], init });
    }),
  ]);
  const init = { base: weightNames.finalNorm };
  const last = part("norm.weight", { part: "norm", layer: undefined, shape: [D], init });
  const ofHead = head ? vectorsOf(HEAD, { layer: undefined, shape: [outputs.head] }) : [];
  return [...all.flat(), ...(norms ? [last] : []), ...ofHead];
}

/** What a pass needs of the current numbers: views where it can, so that they must not change meanwhile. */
export function boundTuning({ layout, params }: AdapterState): BoundTuning {
  const numbers = numbersByName(layout, params);
  return {
    layers: Array.from({ length: layout.base.layers }, (_, layer): LayerVectors => {
      const maps = mergedNames.map((name) => [name, mergedVectors(layout, layer, merged[name], numbers)]);
      const norms = normNames.map((norm) => [norm, numbers.get(`layers.${layer}.${normPaths[norm]}.weight`)]);
      return Object.fromEntries([...maps, ...norms]);
    }),
    finalNorm: numbers.get("norm.weight"),
    head: layout.shape.tuning?.head ? vectorsAt([[HEAD, layout.base.outputs?.head ?? 0]], numbers) : undefined,
  };
}

/** The vectors of keys and values in a layer, which prompts pass too; undefined if neither is tuned. */
export function keyValueVectors({ layout, params }: AdapterState, layer: number): MapVectors | undefined {
  return mergedVectors(layout, layer, ["k", "v"], numbersByName(layout, params));
}

/** Sets the gradient of the parts. */
export function pullBackTuning(
  layout: AdapterLayout,
  { layers, finalNorm, head }: TuningGradient,
  gradient: Float32Array,
): void {
  const numbers = numbersByName(layout, gradient);
  for (const [layer, { maps, norms }] of layers) {
    for (const name of mergedNames) {
      const own = maps[name];
      if (own) addVectors(placesOf(layout, layer, merged[name]), own, numbers);
    }
    for (const norm of normNames) {
      const own = norms[norm];
      if (own) numbers.get(`layers.${layer}.${normPaths[norm]}.weight`)?.set(own);
    }
  }
  if (finalNorm) numbers.get("norm.weight")?.set(finalNorm);
  if (head) addVectors([[HEAD, head.dbias_N.length]], head, numbers);
}

/** Adds what prompts say of the vectors of keys and values. */
export function pullBackKeyValueVectors(
  layout: AdapterLayout,
  layer: number,
  own: VectorsGradient,
  gradient: Float32Array,
): void {
  addVectors(placesOf(layout, layer, ["k", "v"]), own, numbersByName(layout, gradient));
}

/** Where vectors lie one after another: the path of each map, and its outputs. */
type Places = readonly (readonly [path: string, N: number])[];

function placesOf({ base }: AdapterLayout, layer: number, names: readonly TunableMap[]): Places {
  return names.map((map) => [`layers.${layer}.${mapPaths[map]}`, base.outputs?.[map] ?? 0]);
}

function mergedVectors(
  layout: AdapterLayout,
  layer: number,
  names: readonly TunableMap[],
  numbers: ReadonlyMap<string, Float32Array>,
): MapVectors | undefined {
  const isTuned = names.some((map) => layout.shape.tuning?.maps.includes(map));
  return isTuned ? vectorsAt(placesOf(layout, layer, names), numbers) : undefined;
}

/** Vectors one after another; those that are not trained leave the base as it is. */
function vectorsAt(places: Places, numbers: ReadonlyMap<string, Float32Array>): MapVectors {
  const length = places.reduce((sum, [, N]) => sum + N, 0);
  const [scale_N, bias_N] = [new Float32Array(length).fill(1), new Float32Array(length)];
  let at = 0;
  for (const [path, N] of places) {
    scale_N.set(numbers.get(`${path}.scale`) ?? [], at);
    bias_N.set(numbers.get(`${path}.bias`) ?? [], at);
    at += N;
  }
  return { scale_N, bias_N };
}

function addVectors(
  places: Places,
  { dscale_N, dbias_N }: VectorsGradient,
  numbers: ReadonlyMap<string, Float32Array>,
): void {
  let at = 0;
  for (const [path, N] of places) {
    const [dscale, dbias] = [numbers.get(`${path}.scale`), numbers.get(`${path}.bias`)];
    for (let n = 0; n < N; n++) {
      if (dscale) dscale[n] += dscale_N[at + n];
      if (dbias) dbias[n] += dbias_N[at + n];
    }
    at += N;
  }
}

function numbersByName({ table }: AdapterLayout, vector: Float32Array): ReadonlyMap<string, Float32Array> {
  return new Map(table.filter(({ file }) => file === TUNING_FILE).map((own) => [own.name, partNumbers(own, vector)]));
}
