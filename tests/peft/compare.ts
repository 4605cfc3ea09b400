/** What Zerogate computes with a base and an adapter folder, and how far two sets of numbers are apart. */
import {
  type AdapterState,
  adapterLayout,
  createModel,
  createReferenceEngine,
  type DecoderModel,
  layerParts,
} from "@zerogate/core";
import { loadAdapter, loadWeights, readModelConfig } from "@zerogate/core/node";

export async function openBoth(job: {
  readonly base: string;
  readonly adapter: string;
}): Promise<{ model: DecoderModel; adapter: AdapterState }> {
  const engine = createReferenceEngine();
  const config = await readModelConfig(job.base);
  const image = await loadWeights(job.base, config, { weightDtypes: engine.weightDtypes });
  const { shape, params } = await loadAdapter(job.adapter, config, { outputBiasTimes: "twice" });
  return { model: createModel(engine, config, image), adapter: { layout: adapterLayout(shape, config), params } };
}

/** Indices into the flat vector. */
export function partsOf({ layout, params }: AdapterState): { prompts: number[]; gates: number[] } {
  const gates = layerParts(layout).map(({ gate }) => gate.offset);
  return { prompts: [...params.keys()].filter((i) => !gates.includes(i)), gates };
}

export function largestMagnitude(values: Float32Array | undefined): number {
  let largest = 0;
  for (const value of values ?? []) if (!(Math.abs(value) <= largest)) largest = Math.abs(value); // NaN stays
  return largest;
}

export function largestDifference(a: Float32Array | undefined, b: Float32Array | undefined): number {
  if (!a || !b || a.length !== b.length) return Number.NaN;
  return largestMagnitude(a.map((value, i) => value - (b[i] ?? Number.NaN)));
}
