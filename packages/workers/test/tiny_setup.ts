/** A tiny random Llama, an adapter with open gates and twelve samples, each marked by a token of its own. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type AdapterShape,
  adapterLayout,
  initParameters,
  layerParts,
  type ModelConfig,
  partNumbers,
  type TokenSet,
  type WeightImage,
} from "@zerogate/core";
import { serializeSafetensors, weightNames, weightOf } from "@zerogate/core/formats";
import { normal } from "@zerogate/core/training";
import { type DeviceJob, type DeviceSetup, referenceEngine, type WeightFolder } from "../src/index.ts";

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

/** A job of this shape, with open gates. */
export function tinyJob(id: string, changes: Partial<AdapterShape> = {}, seed = 1): DeviceJob {
  const shape = { promptLength: 3, adaptedLayers: 2, gateSharing: "per-head", gateActivation: "tanh" } as const;
  const layout = adapterLayout({ ...shape, ...changes }, config);
  const params = new Float32Array(new SharedArrayBuffer(4 * layout.length));
  params.set(initParameters(layout.table, seed));
  for (const { gate } of layerParts(layout)) partNumbers(gate, params).fill(0.3);
  return { id, layout, params };
}

export type TinySetup = DeviceSetup & { readonly tokens: { readonly train: TokenSet } };

export function tinySetup(jobs: readonly DeviceJob[] = [tinyJob("tiny")]): TinySetup {
  const tokens = { train: tokenSet(), empty: { ...tokenSet(), target: new Uint8Array(samples * 9) } };
  return { engine: referenceEngine(), config, weights: weights(), jobs, tokens };
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

/** Writes the setup's base into a folder, as Hugging Face names it: for devices that read it for themselves. */
export function writeTinyBase(folder: string): WeightFolder {
  const { heads, kvHeads, headDim, layers, intermediateSize: F } = config;
  const [Q, KV] = [heads * headDim, kvHeads * headDim];
  const image = weights();
  const tensors = new Map<string, { dtype: "F32"; shape: number[]; bytes: Uint8Array }>();
  const add = (name: string, ...parts: [hfName: string, rows?: number][]) => {
    const { shape, bytes } = weightOf(image, name) ?? { shape: [], bytes: new Uint8Array() };
    let from = 0;
    for (const [hfName, rows = shape[0] ?? 0] of parts) {
      const length = (bytes.length / (shape[0] ?? 1)) * rows;
      tensors.set(hfName, { dtype: "F32", shape: [rows, ...shape.slice(1)], bytes: bytes.slice(from, from + length) });
      from += length;
    }
  };
  add(weightNames.embed, ["model.embed_tokens.weight"]);
  add(weightNames.finalNorm, ["model.norm.weight"]);
  for (let i = 0; i < layers; i++) {
    const hf = (name: string) => `model.layers.${i}.${name}.weight`;
    add(weightNames.layer(i, "attnNorm"), [hf("input_layernorm")]);
    add(
      weightNames.layer(i, "qkv"),
      [hf("self_attn.q_proj"), Q],
      [hf("self_attn.k_proj"), KV],
      [hf("self_attn.v_proj"), KV],
    );
    add(weightNames.layer(i, "o"), [hf("self_attn.o_proj")]);
    add(weightNames.layer(i, "mlpNorm"), [hf("post_attention_layernorm")]);
    add(weightNames.layer(i, "gateUp"), [hf("mlp.gate_proj"), F], [hf("mlp.up_proj"), F]);
    add(weightNames.layer(i, "down"), [hf("mlp.down_proj")]);
  }
  writeFileSync(join(folder, "model.safetensors"), serializeSafetensors(tensors));
  return { folder, weightDtypes: ["f32"] };
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
