import { expect, test } from "vitest";
import { tinyConfig } from "../../../test/tiny_model.ts";
import { adapterLayout } from "./adaption_prompt.ts";

const config = tinyConfig(); // 3 layers, D = 12, 4 heads

test("layers are the last ones, in ascending order and without gaps, prompt before gate", () => {
  const shape = { promptLength: 2, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none" } as const;
  const modules = { root: "model", layers: "layers", attention: "self_attn" };
  const { table, ...facts } = adapterLayout(shape, config);
  expect(facts).toEqual({
    kind: "adaption_prompt",
    shape,
    base: { layers: 3, hiddenSize: 12, heads: 4, modules, hasOutputBias: false },
    length: 50,
  });
  expect(table.map(({ name, layer, offset, shape: sizes }) => ({ name, layer, offset, shape: sizes }))).toEqual([
    { name: "layers.1.prompt", layer: 1, offset: 0, shape: [1, 2, 12] },
    { name: "layers.1.gate", layer: 1, offset: 24, shape: [1] },
    { name: "layers.2.prompt", layer: 2, offset: 25, shape: [1, 2, 12] },
    { name: "layers.2.gate", layer: 2, offset: 49, shape: [1] },
  ]);
  const prompt = { decays: ["all", "original"], learningRateFactor: 1, group: 0 };
  const gate = { decays: ["all"], init: "zeros", learningRateFactor: 1, group: 0 };
  expect(table).toMatchObject([
    { ...prompt, init: { normal: 1, stream: 1 } },
    gate,
    { ...prompt, init: { normal: 1, stream: 2 } },
    gate,
  ]);
  const squashed = adapterLayout({ ...shape, gateActivation: "tanh" }, config);
  expect(squashed.table[1]).toMatchObject({ ...gate, shape: [1, 1] }); // litgpt's and the original's gate has its heads last
  const perHead = adapterLayout({ ...shape, gateSharing: "per-head" }, config);
  expect(perHead.table.map(({ offset }) => offset)).toEqual([0, 24, 28, 52]);
  expect([perHead.table[3]?.shape, perHead.length]).toEqual([[4], 56]);
  expect(perHead.table[3]).toMatchObject({ ...gate, decays: ["all", "original"] });
  const squashedHeads = adapterLayout({ ...shape, gateSharing: "per-head", gateActivation: "tanh" }, config);
  expect(squashedHeads.table[3]?.shape).toEqual([4]);
});

test("one vector for all prompts is refused where it would move a softmax; vectors of their own are not", () => {
  const shape = { promptLength: 2, adaptedLayers: 2 };
  const vision = { fusion: "global", featureSize: 4, projectionSize: 3, missingImage: "none" } as const;
  for (const [changes, said] of [
    [{ modelType: "qwen3", qkNorm: "head" }, "Cannot adapt a qwen3 base to images: it has norms of keys"],
    [{ modelType: "gemma2", scoreCap: 50 }, "Cannot adapt a gemma2 base to images: it caps scores"],
  ] as const) {
    const base = tinyConfig(changes);
    expect(() => adapterLayout({ ...shape, vision }, base)).toThrow(said);
    const query = { fusion: "query", featureSize: 4, embedSize: 4, blocks: 1, heads: 2, mlpSize: 3 } as const;
    const own = { ...query, blockEps: 1e-6, normEps: 1e-5, missingImage: "none" } as const;
    expect(adapterLayout({ ...shape, vision: own }, base).shape.vision).toEqual(own);
  }
});

/** Spec §4.3: PEFT's counts were printed by the real library, the others are those of the original code and litgpt. */
test.each([
  ["LLaMA-7B", 32, 4096, 32, 30, 1_228_830, 1_229_760],
  ["LLaMA-13B", 40, 5120, 40, 38, 1_945_638, 1_947_120],
  ["LLaMA-65B", 80, 8192, 64, 78, 6_389_838, 6_394_752],
  ["Llama-3-8B", 32, 4096, 32, 30, 1_228_830, 1_229_760],
])(
  "%s: as many trained numbers as PEFT (one gate a layer) and the original (one a head)",
  (_, layers, hiddenSize, heads, adaptedLayers, scalar, perHead) => {
    const model = tinyConfig({ layers, hiddenSize, heads, headDim: 128 });
    const shape = { promptLength: 10, adaptedLayers, gateActivation: "none" } as const;
    expect(adapterLayout({ ...shape, gateSharing: "scalar" }, model).length).toBe(scalar);
    expect(adapterLayout({ ...shape, gateSharing: "per-head" }, model).length).toBe(perHead);
  },
);

test("more layers than there are, or than attend, and numbers that are no count are refused", () => {
  const deltaNet = { layers: [0, 2], keyHeads: 2, valueHeads: 4, keyDim: 3, valueDim: 2, taps: 3 };
  const mixed = tinyConfig({ modelType: "qwen3_5_text", deltaNet });
  const adapt = (adaptedLayers: number, model = config) => adapterLayout({ promptLength: 2, adaptedLayers }, model);
  expect(adapt(1, mixed).table.map(({ layer }) => layer)).toEqual([1, 1]);
  expect(() => adapt(2, mixed)).toThrow("Cannot adapt 2 layers: the base has 1 of 3 layers that attend: use 1 to 1");
  expect(() => adapt(4)).toThrow("Cannot adapt 4 layers: the base has 3 layers: use 1 to 3");
  for (const none of [0, -1, 1.5, Number.NaN]) expect(() => adapt(none)).toThrow(/use 1 to 3$/);
});
