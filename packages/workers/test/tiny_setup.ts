/** A tiny random Llama, an adapter with open gates and twelve samples, each marked by a token of its own. */
import {
  type AdapterLayout,
  adapterLayout,
  initAdapter,
  type ModelConfig,
  normal,
  type TokenSet,
  type WeightImage,
  weightNames,
} from "@zerogate/core";
import { type DeviceSetup, referenceEngine } from "../src/index.ts";

const config: ModelConfig = {
  modelType: "llama",
  vocabSize: 32,
  hiddenSize: 8,
  intermediateSize: 12,
  layers: 3,
  heads: 2,
  kvHeads: 1,
  headDim: 4,
  contextLength: 64,
  normEps: 1e-5,
  ropeTheta: 1e4,
  ropeScaling: { type: "default" },
  slidingWindow: 0,
  slidingLayers: undefined,
  embedScale: 1,
  tiedEmbeddings: true,
  qkvBias: false,
  outputBias: false,
  mlpBias: false,
  bosTokenId: 1,
  eosTokenIds: [2],
};

/** Sample i begins with this token, and no other sample has it. */
export const markOf = (sample: number): number => 16 + sample;

const samples = 12;

export function tinySetup(): DeviceSetup & { readonly layout: AdapterLayout } {
  const shape = { promptLength: 3, adaptedLayers: 2, gateSharing: "per-head", gateActivation: "tanh" } as const;
  const layout = adapterLayout(shape, config);
  const params = new Float32Array(new SharedArrayBuffer(4 * layout.length));
  params.set(initAdapter(layout, 1));
  for (const { gate } of layout.places) params.fill(0.3, gate, gate + layout.gateLength);
  const tokens = { train: tokenSet(), empty: { ...tokenSet(), target: new Uint8Array(samples * 9) } };
  return { engine: referenceEngine(), config, weights: weights(), layout, params, tokens };
}

function weights(): WeightImage {
  const { vocabSize, hiddenSize: D, intermediateSize: F, heads, kvHeads, headDim, layers } = config;
  const shapes: Record<string, number[]> = { [weightNames.embed]: [vocabSize, D], [weightNames.finalNorm]: [D] };
  for (let i = 0; i < layers; i++) {
    Object.assign(shapes, {
      [weightNames.layer(i, "attnNorm")]: [D],
      [weightNames.layer(i, "qkv")]: [(heads + 2 * kvHeads) * headDim, D],
      [weightNames.layer(i, "o")]: [D, heads * headDim],
      [weightNames.layer(i, "mlpNorm")]: [D],
      [weightNames.layer(i, "gateUp")]: [2 * F, D],
      [weightNames.layer(i, "down")]: [D, F],
    });
  }
  const places: Record<string, WeightImage["places"][string]> = {};
  let offset = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    const byteLength = 4 * shape.reduce((product, dim) => product * dim, 1);
    places[name] = { dtype: "f32", shape, offset, byteLength };
    offset += Math.ceil(byteLength / 64) * 64;
  }
  const bytes = new SharedArrayBuffer(offset);
  new Float32Array(bytes).forEach((_, i, all) => {
    all[i] = 0.4 * normal(2, 0, i);
  });
  return { bytes, places };
}

/** Lengths 4 to 9; the second half of each sample is to be predicted. */
function tokenSet(): TokenSet {
  const lengths = Array.from({ length: samples }, (_, i) => 4 + (i % 6));
  const shared = lengths.reduce((sum, length) => sum + length, 0);
  const ids = new Int32Array(new SharedArrayBuffer(4 * shared));
  const target = new Uint8Array(new SharedArrayBuffer(shared));
  const offsets = new Float64Array(new SharedArrayBuffer(8 * (samples + 1)));
  let t = 0;
  for (const [sample, length] of lengths.entries()) {
    for (let i = 0; i < length; i++, t++) {
      ids[t] = i === 0 ? markOf(sample) : 3 + ((5 * sample + 7 * i) % 13);
      target[t] = 2 * i >= length ? 1 : 0;
    }
    offsets[sample + 1] = t;
  }
  return { ids, target, offsets, hash: "tiny" };
}
