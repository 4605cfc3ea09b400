/** The estimate against what engines really take for the arrays of a training cell. */
import {
  type AdapterLayout,
  adapterLayout,
  type Cell,
  cellGradient,
  createModel,
  initParameters,
  type ModelConfig,
  parseModelConfig,
  type WeightImage,
} from "@zerogate/core";
import type { Engine } from "@zerogate/core/engine";
import { type WeightPlace, weightSources } from "@zerogate/core/formats";
import { backwardLayers } from "@zerogate/core/training";
import { createEngine, createWasmEngine, probe } from "@zerogate/engine-cpu";
import { describe, expect, test } from "vitest";
import { estimateMemory, imageMemory } from "./memory_estimate.ts";

const config = parseModelConfig(
  {
    model_type: "llama",
    vocab_size: 4096,
    hidden_size: 192,
    intermediate_size: 512,
    num_hidden_layers: 12,
    num_attention_heads: 3,
    num_key_value_heads: 1,
    tie_word_embeddings: true,
  },
  "config.json",
);
const shape = { promptLength: 10, adaptedLayers: 10, gateSharing: "scalar", gateActivation: "none" } as const;
const layout = adapterLayout(shape, config);
const T = 700;

function zeros(model: ModelConfig): WeightImage {
  const places: Record<string, WeightPlace> = {};
  let bytes = 0;
  for (const { name, shape: dims } of weightSources(model)) {
    const byteLength = dims.reduce((product, size) => product * size, 2);
    places[name] = { dtype: "bf16", shape: dims, offset: bytes, byteLength };
    bytes += byteLength;
  }
  return { bytes: new SharedArrayBuffer(bytes), places };
}

/** Three of four layers have a delta net. */
const mixed = parseModelConfig(
  {
    model_type: "qwen3_5_text",
    vocab_size: 4096,
    hidden_size: 192,
    intermediate_size: 512,
    num_hidden_layers: 12,
    num_attention_heads: 3,
    num_key_value_heads: 1,
    head_dim: 64,
    linear_num_key_heads: 4,
    linear_num_value_heads: 8,
    linear_key_head_dim: 32,
    linear_value_head_dim: 64,
    tie_word_embeddings: true,
  },
  "config.json",
);

async function peakOfACell(
  engine: Engine & { memory(): { readonly peakBytes: number } },
  base: ModelConfig,
  of: AdapterLayout,
): Promise<number> {
  const model = createModel(engine, base, zeros(base));
  const rows_R = Int32Array.from({ length: 500 }, (_, r) => r);
  const cell: Cell = {
    ids_T: new Int32Array(T),
    positions_T: Int32Array.from({ length: T }, (_, t) => (t < 300 ? t : t - 300)),
    cuSeqlens: Int32Array.of(0, 300, T),
    rows_R,
    labels_R: new Int32Array(rows_R.length),
  };
  await cellGradient(model, { layout: of, params: initParameters(of.table, 1) }, cell, 1);
  return engine.memory().peakBytes;
}

const plain = { weightCopies: 0, packedBytes: 0, traits: {}, storage: "as-is" } as const;

const { available, reason } = probe();
const absent = available ? "" : ` (skipped: ${reason})`;
describe.each([
  ["cpu", createEngine, !available, absent],
  ["wasm", createWasmEngine, false, ""],
] as const)("a cell on %s", (_name, open, isSkipped, why) => {
  const perWorker = (base: ModelConfig, of: AdapterLayout) =>
    estimateMemory(base, of, { cellTokens: T, workers: 1, weights: 0, engine: plain, isIsolated: false }).perWorker;

  test.skipIf(isSkipped)(`takes what is estimated: not a quarter more, not a third less${why}`, async () => {
    const peak = await peakOfACell(open(), config, layout);
    expect(peak).toBeLessThan(1.25 * perWorker(config, layout));
    expect(peak).toBeGreaterThan(0.67 * perWorker(config, layout));
  });

  test.skipIf(isSkipped)(
    `takes what is estimated of delta nets: not a fifth more, not a fifth less${why}`,
    async () => {
      const own = adapterLayout({ ...shape, adaptedLayers: 3 }, mixed);
      const peak = await peakOfACell(open(), mixed, own);
      expect(peak).toBeLessThan(1.2 * perWorker(mixed, own));
      expect(peak).toBeGreaterThan(0.8 * perWorker(mixed, own));
    },
  );
});

test("numbers per token, layer, head and row add up to what the operations hold", () => {
  // T = 10 tokens, D = 8, F = 12, two query heads of 4 to one key/value head: X = 16, Q = 8; V = 32; one adapted layer of 3.
  const small = {
    ...config,
    hiddenSize: 8,
    intermediateSize: 12,
    heads: 2,
    kvHeads: 1,
    headDim: 4,
    vocabSize: 32,
    layers: 3,
  };
  const one = { promptLength: 2, adaptedLayers: 1, gateSharing: "scalar", gateActivation: "none" } as const;
  const adapted = { ...adapterLayout(one, small), length: 20 };
  const run = { cellTokens: 10, workers: 1, weights: 0, engine: plain, isIsolated: false };
  const kept = 2 * 8 + 16 + 8 + 2 * 12 + 2 + 2;
  const temporary = 4 * 8 + 2 * 16 + 2 * 12 + 12;
  const head = 4 * 64 * 32 + 8 * 10 * 8;
  const sums = 20 * 20;
  const expected = 4 * 10 * (kept + temporary) + head + sums;
  expect(estimateMemory(small, adapted, run).perWorker).toBe(expected);
  const composed = estimateMemory(small, adapted, {
    ...run,
    engine: { ...plain, traits: { isComposed: true } },
  }).perWorker;
  expect(composed).toBe(expected + 4 * 10 * (3 * 16 + 10 * 12) + 8 * 4 * 2 * 10 * 10);
  const long = { ...run, cellTokens: 4096 };
  const scores = (of: typeof long) =>
    estimateMemory(small, adapted, { ...of, engine: { ...plain, traits: { isComposed: true } } }).perWorker -
    estimateMemory(small, adapted, of).perWorker -
    4 * of.cellTokens * (3 * 16 + 10 * 12);
  expect(scores(long)).toBe(8 * 4 * 2 ** 22); // 4 Mi scores at most
});

test("weights count once, and once more for every worker that copies them", () => {
  const run = { cellTokens: T, workers: 3, weights: 1e9, engine: plain, isIsolated: false };
  const shared = estimateMemory(config, layout, run);
  const copied = estimateMemory(config, layout, { ...run, engine: { ...plain, weightCopies: 1 } });
  expect(shared.total).toBe(1e9 + 3 * shared.perWorker);
  expect(copied.perWorker).toBe(shared.perWorker + 1e9);
  expect(copied.total).toBe(4e9 + 3 * shared.perWorker);
  const read = estimateMemory(config, layout, { ...run, isIsolated: true });
  expect(read.total).toBe(3e9 + 3 * shared.perWorker); // each process its own, none beside them
  const mapped = estimateMemory(config, layout, {
    ...run,
    isIsolated: true,
    engine: { ...plain, traits: { mapsFiles: true } },
  });
  expect(mapped).toEqual(shared);
  const packing = { ...plain, packedBytes: 1e8 };
  const whole = adapterLayout({ ...layout.shape, adaptedLayers: config.layers }, config);
  const packed = estimateMemory(config, whole, { ...run, engine: packing });
  const unpacked = estimateMemory(config, whole, run);
  expect(packed).toEqual({ ...unpacked, weights: 1.2e9, total: unpacked.total + 2e8 });
  const isolated = estimateMemory(config, layout, { ...run, isIsolated: true, engine: packing });
  expect(isolated.weights).toBe(0);
  expect(isolated.perWorker).toBeGreaterThan(read.perWorker + 1e8);
  const quantised = { ...plain, traits: { mapsFiles: true }, storage: "int8" } as const;
  expect(estimateMemory(config, layout, { ...run, isIsolated: true, engine: quantised })).toEqual(read);
});

test("norms of queries, keys and outputs keep what stood before them, and an exact GELU has no gate", () => {
  const run = { cellTokens: T, workers: 1, weights: 0, engine: plain, isIsolated: false };
  const kept = (changes: Partial<typeof config>) => estimateMemory({ ...config, ...changes }, layout, run).perWorker;
  const { heads, kvHeads, headDim, hiddenSize, intermediateSize } = config;
  const depth = backwardLayers(layout);
  expect(kept({ qkNorm: "head" }) - kept({})).toBe(4 * T * depth * (heads + kvHeads) * headDim);
  expect(kept({ qkNorm: "all-heads", outputNorms: "after" }) - kept({ qkNorm: "head" })).toBe(
    4 * T * depth * 2 * hiddenSize,
  );
  const gptNeox = { modelType: "gpt_neox" };
  const layerNorm = 2;
  expect(kept({}) - kept(gptNeox)).toBe(4 * T * (depth * (intermediateSize - layerNorm) + intermediateSize));
});

test("features lie once in shared memory, and once more in every process; what is trained for images has moments, and a copy", () => {
  const vision = { fusion: "global", featureSize: 6, projectionSize: 2, missingImage: "none" } as const;
  const seeing = adapterLayout({ ...shape, vision }, config);
  const numbers = 2 * 6 + 2 + 192 * 2 + 192;
  const seen = { features: 5e6, tower: 7e6 };
  expect(imageMemory({ visionParts: "trained" }, seeing, { imageBytes: seen })).toEqual({
    ...seen,
    parts: 24 * numbers,
  });
  expect(imageMemory({ visionParts: "frozen" }, seeing, { imageBytes: seen })).toEqual({ ...seen, parts: 8 * numbers });
  expect(imageMemory({ visionParts: "trained" }, layout, {})).toBeUndefined();
  const run = { cellTokens: T, workers: 3, weights: 1e9, engine: plain, isIsolated: false };
  const images = { ...seen, parts: 1000 };
  const [blind, sees] = [estimateMemory(config, seeing, run), estimateMemory(config, seeing, { ...run, images })];
  expect(blind.images).toBe(0);
  expect(sees).toEqual({ ...blind, images: 12_001_000, total: blind.total + 12_001_000 });
  const processes = { ...run, isIsolated: true };
  const each = estimateMemory(config, seeing, { ...processes, images }).perWorker;
  expect(each - estimateMemory(config, seeing, processes).perWorker).toBe(5e6);
});
