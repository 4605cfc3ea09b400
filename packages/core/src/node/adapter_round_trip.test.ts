import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { draws } from "../../test/draws.ts";
import { tinyBases } from "../../test/tiny_bases.ts";
import { tinyConfig } from "../../test/tiny_model.ts";
import { type AdaptionPromptConfig, adaptionPromptConfig, taskTypes } from "../adapter/files/config.ts";
import { bosRules } from "../adapter/files/prompt_format.ts";
import { adapterLayout } from "../adapter/kinds/adaption_prompt.ts";
import { adaptableLayers } from "../adapter/layout.ts";
import { InputError } from "../errors.ts";
import { narrow, widen } from "../formats/dtype.ts";
import type { ModelConfig } from "../model/config.ts";
import { normal } from "../random.ts";
import { loadAdapter, readAdapter, type SavedAdapter, saveAdapter } from "./adapter_files.ts";
import { listAdapters, loadAdapters, saveAdapters } from "./adapter_set.ts";
import type { LoadedAdapter } from "./loaded_adapter.ts";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "zerogate-round-trip-"));
});
afterAll(() => rm(scratch, { recursive: true }));

const models: ModelConfig[] = tinyBases.map(({ changes }) => tinyConfig(changes));
const text = fc.string({ unit: "binary", maxLength: 12 }); // any characters, no halves of one
const plain = text.map((any) => any.replaceAll(/[{}]/g, "")); // no placeholder
const nullable = fc.option(text, { nil: null });

/** What an adapter may have been trained to see. */
const anyProjection = fc.record({
  fusion: fc.constant("global" as const),
  featureSize: fc.integer({ min: 1, max: 5 }),
  projectionSize: fc.integer({ min: 1, max: 3 }),
  missingImage: fc.constantFrom("none" as const, "zeros" as const, "zero-image" as const),
});
const anyTransformer = fc.record({
  fusion: fc.constant("query" as const),
  featureSize: fc.integer({ min: 1, max: 5 }),
  embedSize: fc.constant(6),
  heads: fc.constantFrom(1, 2, 3, 6),
  blocks: fc.integer({ min: 1, max: 3 }),
  mlpSize: fc.integer({ min: 1, max: 5 }),
  blockEps: fc.double({ min: 1e-9, max: 1, noNaN: true }),
  normEps: fc.double({ min: 1e-9, max: 1, noNaN: true }),
  missingImage: fc.constantFrom("none" as const, "zero-image" as const),
});
const seenBy = (severalImages: fc.Arbitrary<"mean" | "concat">) =>
  fc.record({
    features: fc.array(text, { minLength: 1, maxLength: 3 }),
    featureNorm: fc.constantFrom("layer" as const, "none" as const),
    severalImages,
    tower: fc.record(
      {
        modelType: text,
        hiddenSize: fc.integer({ min: 1, max: 2000 }),
        layers: fc.integer({ min: 1, max: 48 }),
        imageSize: fc.integer({ min: 1, max: 500 }),
        patchSize: fc.integer({ min: 1, max: 32 }),
        sha256: fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }).map((hash) => hash.toString(16).padStart(64, "0")),
        nameOrPath: text,
        channelOrder: fc.constantFrom("rgb" as const, "bgr" as const),
        exif: fc.constantFrom("apply" as const, "ignore" as const),
      },
      {
        requiredKeys: ["modelType", "hiddenSize", "layers", "imageSize", "patchSize", "channelOrder", "exif"],
        noNullPrototype: true,
      },
    ),
  });
const anyVision = fc.oneof(
  fc.record({ shape: anyProjection, seen: seenBy(fc.constant("mean")) }),
  fc.record({ shape: anyTransformer, seen: seenBy(fc.constantFrom("mean", "concat")) }),
);

/** Any adapter of this base: every variant of gate, dtype, config and metadata; gates and prompts of any size that f16 holds. */
function adapterOf(
  model: ModelConfig,
): fc.Arbitrary<Required<Omit<SavedAdapter, "promptFormat" | "seen" | "origin">> & SavedAdapter> {
  const chosen = fc.record({
    promptLength: fc.integer({ min: 1, max: 4 }),
    adaptedLayers: fc.integer({ min: 1, max: adaptableLayers(model).length }),
    gateSharing: fc.constantFrom("scalar" as const, "per-head" as const),
    gateActivation: fc.constantFrom("none" as const, "tanh" as const),
    outputBiasTimes: fc.constantFrom("once" as const, "twice" as const),
    dtype: fc.constantFrom("f32" as const, "bf16" as const, "f16" as const),
    metadata: fc.dictionary(
      text.map((key) => `note.${key}`),
      text,
      { noNullPrototype: true },
    ),
    promptFormat: fc.option(
      fc.record({
        template: fc.record({
          name: text,
          withInput: plain.map((after) => `{instruction}{input}${after}`),
          withoutInput: plain.map((before) => `${before}{instruction}`),
        }),
        bos: fc.constantFrom(...bosRules),
      }),
      { nil: undefined },
    ),
    // A base with norms of keys or caps of scores takes no images.
    vision: model.qkNorm || model.scoreCap ? fc.constant(undefined) : fc.option(anyVision, { nil: undefined }),
    seed: fc.nat(),
    taskType: fc.constantFrom(...taskTypes, null),
    baseModelNameOrPath: nullable,
    revision: nullable,
    autoMapping: fc.option(fc.dictionary(text, text, { noNullPrototype: true }), { nil: null }),
  });
  return chosen.map(({ dtype, metadata, promptFormat, vision, seed, promptLength, adaptedLayers, ...fields }) => {
    const { gateSharing, gateActivation, outputBiasTimes } = fields;
    const settings = { gateSharing, gateActivation, outputBiasTimes, ...(vision && { vision: vision.shape }) };
    const layout = adapterLayout({ promptLength, adaptedLayers, ...settings }, model);
    const drawn = Float32Array.from({ length: layout.length }, (_, i) => 100 * normal(seed, 0, i));
    const params = new Float32Array(layout.length);
    widen(dtype, narrow(drawn, dtype), params);
    const config: AdaptionPromptConfig = {
      ...adaptionPromptConfig({ adapterLen: promptLength, adapterLayers: adaptedLayers }),
      targetModules: layout.base.modules.attention,
      taskType: fields.taskType,
      baseModelNameOrPath: fields.baseModelNameOrPath,
      revision: fields.revision,
      autoMapping: fields.autoMapping,
      inferenceMode: true,
    };
    return { config, layout, params, dtype, metadata, promptFormat, seen: vision?.seen };
  });
}

const onAnyBase = fc.constantFrom(...models).chain((model) => adapterOf(model).map((adapter) => ({ model, adapter })));

test("any adapter comes back from its folder as it was saved: config, numbers, gates, metadata, prompt format, what it sees", async () => {
  const folder = join(scratch, "any");
  await fc.assert(
    fc.asyncProperty(onAnyBase, async ({ model, adapter }) => {
      await saveAdapter(folder, adapter);
      const { layout, params, config, metadata, promptFormat, seen } = adapter;
      const loaded = await loadAdapter(folder, model);
      expect(adapterLayout(loaded.shape, model)).toEqual(layout);
      expect(loaded.promptFormat).toEqual(promptFormat);
      expect({ seen: loaded.seen }).toMatchObject({ seen });
      expect(loaded).toMatchObject({ params, config, report: { missing: [], unexpected: [], misShaped: [] } });
      expect(loaded.metadata).toEqual(metadata);
      const alone = await readAdapter(folder, model.heads);
      expect(alone.params).toEqual(params);
      const places = ({ table }: typeof layout) => table.map(({ name, offset, shape }) => ({ name, offset, shape }));
      expect(places(alone.layout)).toEqual(places(layout));
      const again = join(scratch, "again");
      await saveAdapter(again, { ...adapter, ...loaded });
      const files = await readdir(folder);
      expect(files.includes("vision.safetensors")).toBe(seen !== undefined);
      expect((await readdir(again)).toSorted()).toEqual(files.toSorted());
      for (const file of files) {
        expect(await readFile(join(again, file))).toEqual(await readFile(join(folder, file)));
      }
    }),
    { numRuns: draws(60) },
  );
});

/** What a name must not be is `saveAdapters`' business to say. */
const isRefused = (name: string) =>
  /[/\\\0]|^\.{0,2}$|^adapter_|^README|^zerogate\.json/.test(name) || Buffer.byteLength(name) > 255;
const anyName = fc
  .oneof(
    fc.constantFrom(
      "3",
      "self",
      "model",
      "default",
      "base_model",
      "adaption_",
      "__proto__",
      "日本",
      "🦙 x",
      "-rf",
      "%2e",
    ),
    fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }),
  )
  .filter((name) => !isRefused(name));
const named = fc.constantFrom(...models).chain((model) => {
  // A file system may take names of other case or composition for one.
  const names = fc.uniqueArray(anyName, {
    selector: (name) => name.normalize().toLowerCase(),
    maxLength: 5,
    minLength: 1,
  });
  return fc.record({ model: fc.constant(model), entries: names.chain((all) => namedAdapters(all, model)) });
});

function namedAdapters(names: readonly string[], model: ModelConfig): fc.Arbitrary<Map<string, SavedAdapter>> {
  const one = adapterOf(model).map(({ config, layout, params, seen }) => ({ config, layout, params, seen }));
  return fc
    .array(one, { minLength: names.length, maxLength: names.length })
    .map((adapters) => new Map(names.map((name, i) => [name, adapters[i] as SavedAdapter])));
}

test("adapters of any names are saved apart and come back each as it was [D4, P13]", async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(named, async ({ model, entries }) => {
      const folder = join(scratch, `set-${run++}`);
      const source = {
        adapterNames: [...entries.keys()],
        adapter: (name: string) => entries.get(name) as SavedAdapter,
      };
      await saveAdapters(folder, source);
      expect((await listAdapters(folder)).toSorted()).toEqual(source.adapterNames.toSorted());
      const loaded = await loadAdapters(folder, model);
      expect(loaded.size).toBe(entries.size);
      for (const [name, { params, config }] of entries) expect(loaded.get(name)).toMatchObject({ params, config });
    }),
    { numRuns: draws(25) },
  );
});

test("a changed bit of the weights' header is refused, reported, or changes nothing that is loaded", async () => {
  const folder = join(scratch, "header");
  const path = join(folder, "adapter_model.safetensors");
  const cases = onAnyBase.chain((one) => fc.record({ one: fc.constant(one), at: fc.nat(), bit: fc.nat(7) }));
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(cases, async ({ one: { model, adapter }, at, bit }) => {
      await saveAdapter(folder, { ...adapter, metadata: {} });
      const before = await loadAdapter(folder, model);
      const bytes = await readFile(path);
      const header = 8 + Number(bytes.readBigUInt64LE());
      bytes[at % header] = (bytes[at % header] ?? 0) ^ (1 << bit);
      await writeFile(path, bytes);
      const after = await loadAdapter(folder, model).catch((error: unknown) => error);
      const outcome = whatCame(before, after);
      expect(outcome).not.toBe("changed");
      if (outcome === "refused") refused++;
    }),
    { numRuns: draws(300) },
  );
  expect(refused).toBeGreaterThan(draws(300) / 3);
});

function whatCame(before: LoadedAdapter, after: unknown): "refused" | "reported" | "same" | "changed" {
  if (after instanceof InputError) return "refused";
  const { warnings, shape, params } = after as LoadedAdapter;
  if (warnings.length > before.warnings.length) return "reported";
  return isDeepStrictEqual({ shape, params }, { shape: before.shape, params: before.params }) ? "same" : "changed";
}
