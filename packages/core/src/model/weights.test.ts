import { expect, test } from "vitest";
import { tinyConfig, tinyImage } from "../../test/tiny_model.ts";
import type { ModelConfig } from "./config.ts";
import { parameterCount } from "./hf_names.ts";
import { weightOf } from "./weights.ts";

/** Sizes of published models, from their config.json. */
const llama = (changes: Partial<ModelConfig>) => tinyConfig({ vocabSize: 32_000, headDim: 128, ...changes });
const published: [name: string, config: ModelConfig, count: number][] = [
  [
    "LLaMA-7B",
    llama({ hiddenSize: 4096, intermediateSize: 11_008, layers: 32, heads: 32, kvHeads: 32 }),
    6_738_415_616,
  ],
  [
    "LLaMA-13B",
    llama({ hiddenSize: 5120, intermediateSize: 13_824, layers: 40, heads: 40, kvHeads: 40 }),
    13_015_864_320,
  ],
  [
    "LLaMA-65B",
    llama({ hiddenSize: 8192, intermediateSize: 22_016, layers: 80, heads: 64, kvHeads: 64 }),
    65_285_660_672,
  ],
  [
    "Llama-3-8B",
    llama({ vocabSize: 128_256, hiddenSize: 4096, intermediateSize: 14_336, layers: 32, heads: 32, kvHeads: 8 }),
    8_030_261_248,
  ],
  [
    "Llama-3.2-3B, tied",
    llama({
      vocabSize: 128_256,
      hiddenSize: 3072,
      intermediateSize: 8192,
      layers: 28,
      heads: 24,
      kvHeads: 8,
      tiedEmbeddings: true,
    }),
    3_212_749_824,
  ],
  [
    "gpt2",
    tinyConfig({
      modelType: "gpt2",
      vocabSize: 50_257,
      hiddenSize: 768,
      intermediateSize: 3072,
      layers: 12,
      heads: 12,
      kvHeads: 12,
      headDim: 64,
      contextLength: 1024,
      tiedEmbeddings: true,
    }),
    124_439_808,
  ],
  [
    "Qwen2-0.5B",
    tinyConfig({
      modelType: "qwen2",
      vocabSize: 151_936,
      hiddenSize: 896,
      intermediateSize: 4864,
      layers: 24,
      heads: 14,
      kvHeads: 2,
      headDim: 64,
      qkvBias: true,
      tiedEmbeddings: true,
    }),
    494_032_768,
  ],
  [
    "gemma-2b",
    tinyConfig({
      modelType: "gemma",
      vocabSize: 256_000,
      hiddenSize: 2048,
      intermediateSize: 16_384,
      layers: 18,
      heads: 8,
      kvHeads: 1,
      headDim: 256,
      tiedEmbeddings: true,
    }),
    2_506_172_416,
  ],
];

test.each(published)("%s has as many parameters as transformers counts", (_name, config, count) => {
  expect(parameterCount(config)).toBe(count);
});

test("a weight is a view of the block, and one that is not there is undefined", () => {
  const image = tinyImage(tinyConfig());
  const qkv = weightOf(image, "layers.1.qkv");
  expect(qkv).toMatchObject({ dtype: "f32", shape: [(4 + 2 * 2) * 6, 12] });
  expect(qkv?.bytes.buffer).toBe(image.bytes);
  expect(qkv?.bytes.byteOffset).toBe(image.places["layers.1.qkv"].offset);
  expect(weightOf(image, "layers.1.qkvBias")).toBeUndefined();
  expect(weightOf(image, "layers.3.qkv")).toBeUndefined();
});
