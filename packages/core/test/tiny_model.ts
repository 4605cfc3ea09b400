/** Small random models of any shape, made from a seed. Their differences: tiny_bases.ts; as folders: tiny_files.ts. */
import type { AdaptionPromptConfig } from "../src/adapter/files/config.ts";
import { adapterLayout, layerParts } from "../src/adapter/kinds/adaption_prompt.ts";
import type { AdapterState } from "../src/adapter/kinds/kind.ts";
import type { AdapterShape } from "../src/adapter/layout.ts";
import { initParameters, partNumbers } from "../src/adapter/parameters.ts";
import { TUNING_FILE } from "../src/adapter/parts/tuning.ts";
import type { Cell, TokenSet } from "../src/cell/tokens.ts";
import type { Engine } from "../src/engine/engine.ts";
import { createReferenceEngine } from "../src/engine/reference.ts";
import type { ModelConfig } from "../src/model/config.ts";
import { createModel, type DecoderModel } from "../src/model/decoder.ts";
import { weightSources } from "../src/model/hf_names.ts";
import type { WeightImage, WeightPlace } from "../src/model/weights.ts";
import { normal, randomBits } from "../src/random.ts";

/** Three layers, two query heads per key/value head, and a head dimension that is not D / H. */
export function tinyConfig(changes: Partial<ModelConfig> = {}): ModelConfig {
  return {
    modelType: "llama",
    vocabSize: 31,
    hiddenSize: 12,
    intermediateSize: 20,
    layers: 3,
    heads: 4,
    kvHeads: 2,
    headDim: 6,
    contextLength: 64,
    normEps: 1e-5,
    ropeTheta: 1e4,
    ropeScaling: { type: "default" },
    slidingWindow: 0,
    slidingLayers: undefined,
    embedScale: 1,
    tiedEmbeddings: false,
    qkvBias: false,
    outputBias: false,
    mlpBias: false,
    bosTokenId: 1,
    eosTokenIds: [2],
    ...changes,
  };
}

/** Weights so large that every block matters: activations of order one, norms and biases that differ by channel. */
export function tinyImage(config: ModelConfig, seed = 1): WeightImage {
  const places: Record<string, WeightPlace> = {};
  let offset = 0;
  for (const { name, shape } of weightSources(config)) {
    const byteLength = 4 * shape.reduce((a, b) => a * b, 1);
    places[name] = { dtype: "f32", shape, offset, byteLength };
    offset = Math.ceil((offset + byteLength) / 64) * 64;
  }
  const bytes = new SharedArrayBuffer(offset);
  for (const [index, [name, place]] of Object.entries(places).entries()) {
    const values = new Float32Array(bytes, place.offset, place.byteLength / 4);
    const columns = place.shape[1];
    const isNorm = name.endsWith("Norm");
    const mean = isNorm ? 1 : 0;
    const deviation = columns === undefined ? 0.2 : name === "embed" ? 1 : 1 / Math.sqrt(columns);
    for (let i = 0; i < values.length; i++) values[i] = mean + deviation * normal(seed, index, i);
    // Exact as a distance from 1 too, which is how Gemma stores them.
    if (isNorm) for (const [i, value] of values.entries()) values[i] = Math.round(value * 2 ** 20) / 2 ** 20;
  }
  // One tensor of a file may be two weights.
  const firsts = new Map<string, WeightPlace>();
  for (const { name, parts } of weightSources(config)) {
    const first = firsts.get(parts[0].hfName);
    const own = places[name];
    if (first) new Uint8Array(bytes).copyWithin(own.offset, first.offset, first.offset + own.byteLength);
    else firsts.set(parts[0].hfName, own);
  }
  return { bytes, places };
}

export interface TinyModel {
  readonly config: ModelConfig;
  readonly image: WeightImage;
  readonly model: DecoderModel;
}

export function tinyModel(changes: Partial<ModelConfig> = {}, engine: Engine = createReferenceEngine()): TinyModel {
  const config = tinyConfig(changes);
  const image = tinyImage(config);
  return { config, image, model: createModel(engine, config, image) };
}

/** The four kinds of gate. */
export const gateKinds = [
  { gateSharing: "scalar", gateActivation: "none" },
  { gateSharing: "scalar", gateActivation: "tanh" },
  { gateSharing: "per-head", gateActivation: "none" },
  { gateSharing: "per-head", gateActivation: "tanh" },
] as const satisfies readonly Pick<AdapterShape, "gateSharing" | "gateActivation">[];

/** An adapter as if trained: gates between −1 and 1, none of them 0 and no two alike. With `gates` 0 a fresh one. */
export function tinyAdapter(
  config: ModelConfig,
  shape: Partial<AdapterShape> = {},
  { gates = 1, seed = 5 }: { gates?: number; seed?: number } = {},
): AdapterState {
  const layout = adapterLayout(
    { promptLength: 3, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none", ...shape },
    config,
  );
  const params = initParameters(layout.table, seed, 1, () => new Float32Array(config.hiddenSize).fill(1));
  for (const part of layout.table.filter(({ file }) => file === TUNING_FILE)) {
    const numbers = partNumbers(part, params);
    for (let i = 0; i < numbers.length; i++) numbers[i] += 0.3 * Math.sin(1 + part.offset + seed + i);
  }
  for (const { layer, gate } of layerParts(layout)) {
    const stored = partNumbers(gate, params);
    for (let i = 0; i < stored.length; i++) stored[i] = gates * Math.cos(1 + 2 * layer + i);
  }
  return { layout, params };
}

/** What PEFT's users write: the rest has defaults there. */
export function adapterConfig(changes: Partial<AdaptionPromptConfig> = {}): AdaptionPromptConfig {
  return {
    peftType: "ADAPTION_PROMPT",
    targetModules: null,
    adapterLen: 3,
    adapterLayers: 2,
    taskType: "CAUSAL_LM",
    inferenceMode: false,
    baseModelNameOrPath: null,
    revision: null,
    autoMapping: null,
    ...changes,
  };
}

/** Samples of these lengths with random tokens; the second half of each is to be predicted. */
export function tinyTokens(config: ModelConfig, lengths: readonly number[], seed = 3): TokenSet {
  const offsets = Float64Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b))]);
  const total = offsets[lengths.length];
  const ids = Int32Array.from({ length: total }, (_, i) => randomBits(seed, i) % config.vocabSize);
  const target = new Uint8Array(total);
  for (const [s, length] of lengths.entries()) target.fill(1, offsets[s] + Math.ceil(length / 2), offsets[s + 1]);
  return { ids, target, offsets, hash: "" };
}

/** Sum of the labelled tokens of some cells: the denominator of their step. */
export const labelled = (...cells: readonly Cell[]): number =>
  cells.reduce((sum, { rows_R }) => sum + rows_R.length, 0);
