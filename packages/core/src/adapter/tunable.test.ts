/** Adapters that tune their base: how many numbers they have, and on which bases they mean what LLaMA-Adapter V2 means. */
import { expect, test } from "vitest";
import { adapterConfig, tinyAdapter, tinyConfig } from "../../test/tiny_model.ts";
import { adapterFiles } from "../node/adapter_files.ts";
import { adapterLayout } from "./kinds/adaption_prompt.ts";
import { type TuningShape, tunableMaps } from "./layout.ts";

const all: TuningShape = { maps: tunableMaps, vectors: "scale", norms: true };
const shape = { promptLength: 10, adaptedLayers: 30, gateSharing: "per-head", gateActivation: "none" } as const;
const sizes = { hiddenSize: 4096, heads: 32, headDim: 128, layers: 32, vocabSize: 32_000 };

/** Spec of V2 §2: the first is the number that litgpt prints. */
test.each([
  ["litgpt's, on LLaMA-7B", { kvHeads: 32, intermediateSize: 11_008 }, { ...all, head: true }, 4_279_744],
  ["without the head", { kvHeads: 32, intermediateSize: 11_008 }, all, 4_215_744],
  ["on Llama-3-8B", { kvHeads: 8, intermediateSize: 14_336 }, all, 3_018_752 + 1_229_760],
])("%s: as many trained numbers as counted by hand [W9]", (_, changes, tuning, count) => {
  expect(adapterLayout({ ...shape, tuning }, tinyConfig({ ...sizes, ...changes })).length).toBe(count);
});

test("at its start it is the base, and nothing of it decays", () => {
  const { table } = adapterLayout({ ...shape, adaptedLayers: 2, tuning: { ...all, head: true } }, tinyConfig());
  const tuned = table.filter(({ file }) => file === "tuning.safetensors");
  expect(new Set(tuned.map(({ decays }) => decays.length))).toEqual(new Set([0]));
  const starts = Object.fromEntries(tuned.map(({ part, init }) => [part, typeof init === "string" ? init : "base"]));
  expect(starts).toEqual({ bias: "zeros", scale: "ones", norm: "base" });
  expect(tuned.at(-1)).toMatchObject({ name: "lm_head.scale", layer: undefined, fileName: "lm_head.scale" });
});

test("bases whose layers are not Llama's are refused with what is special about them", () => {
  const tune = (changes: Parameters<typeof tinyConfig>[0], tuning = all) =>
    adapterLayout({ promptLength: 2, adaptedLayers: 1, tuning }, tinyConfig(changes));
  expect(() => tune({ modelType: "gpt2" })).toThrow(
    "Cannot tune a gpt2 base: its norms are LayerNorms, its MLP has no gate, prompts join behind its output projection, needed are the layers of Llama",
  );
  expect(() => tune({ modelType: "gemma2", outputNorms: "after" })).toThrow("norms stand behind its attention and MLP");
  expect(() => tune({ modelType: "granite", residualScale: 0.5 })).toThrow("it multiplies what its layers add");
  expect(() => tune({ logitCap: 30 }, { ...all, head: true })).toThrow("it caps logits, which tuned heads do not know");
  expect(tune({ logitCap: 30 }).shape.tuning).toEqual(all);
  expect(() => tune({}, { maps: [], vectors: "bias", norms: false })).toThrow("it tunes no map, no norm and no head");
});

test("images beside it, and a file, are refused: both would lose what is tuned", () => {
  const config = tinyConfig();
  const vision = { fusion: "global", featureSize: 4, projectionSize: 3, missingImage: "none" } as const;
  expect(() => adapterLayout({ promptLength: 2, adaptedLayers: 1, vision, tuning: all }, config)).toThrow(
    "Cannot make an adapter that tunes its base: it has images too",
  );
  const { layout, params } = tinyAdapter(config, { tuning: all });
  expect(() => adapterFiles({ config: adapterConfig(), layout, params })).toThrow(
    "Cannot save the adapter: it tunes its base, for which PEFT's files have no place: keep its layout and its numbers",
  );
});
