import { describe, expect, test } from "vitest";
import { cellOfImages, textInside } from "../../test/image_cells.ts";
import { tinyBases } from "../../test/tiny_bases.ts";
import { adapterConfig, labelled, tinyAdapter, tinyModel } from "../../test/tiny_model.ts";
import { layerParts } from "../adapter/kinds/adaption_prompt.ts";
import type { AdapterState } from "../adapter/kinds/kind.ts";
import type { VisionShape } from "../adapter/layout.ts";
import { AdaptionPromptModel } from "../adapter/model.ts";
import { initParameters, partNumbers } from "../adapter/parameters.ts";
import { addedToPrompts } from "../adapter/parts/projection.ts";
import type { ImageRows } from "../cell/tokens.ts";
import { generateBatch, openSession } from "../generate/generate.ts";
import { normal } from "../random.ts";
import type { DecoderModel } from "./decoder.ts";
import { cellGradient, cellGradients, cellLosses, cellScores, sum } from "./gradient.ts";
import { imageValues } from "./images.ts";
import { oneSequence, packSequences, tokenLogits } from "./logits.ts";
import { heardImages, promptSets } from "./prompts.ts";

const C = 7;
const vision: VisionShape = { fusion: "global", featureSize: C, projectionSize: 5, missingImage: "none" };
/** Three images, and one more whose numbers are those of the second. */
const images: ImageRows = {
  size: C,
  values: Float32Array.from({ length: 4 * C }, (_, i) => normal(8, 0, i < 3 * C ? i : i - 2 * C)),
};

/** As if trained: nothing is zero. */
function seeing(model: DecoderModel, changes: Partial<Parameters<typeof tinyAdapter>[1]> = {}): AdapterState {
  const adapter = tinyAdapter(model.config, { vision, gateSharing: "per-head", gateActivation: "tanh", ...changes });
  for (const part of adapter.layout.table) {
    if (part.part !== "projection") continue;
    const numbers = partNumbers(part, adapter.params);
    for (let i = 0; i < numbers.length; i++) numbers[i] = 0.5 * normal(9, part.offset, i);
  }
  return adapter;
}

const cellOf = (model: DecoderModel, rowOf: readonly number[] | undefined, rows = images) =>
  cellOfImages(model, rowOf, rows);

/** A base with norms of keys, or capped scores, takes no images this way. */
const seeingBases = tinyBases.filter(({ changes }) => !("qkNorm" in changes) && !("scoreCap" in changes));

describe.each(seeingBases)("$title", ({ changes }) => {
  const { model } = tinyModel(changes);

  test("gates of zero have the bits of the base, whatever the images [V7]", async () => {
    const adapter = seeing(model);
    for (const { gate } of layerParts(adapter.layout)) partNumbers(gate, adapter.params).fill(0);
    const cell = cellOf(model, [2, 0, -1, 1]);
    expect(await tokenLogits(model, adapter, cell)).toEqual(await tokenLogits(model, undefined, cell));
    expect(await cellScores(model, adapter, cell)).toEqual(await cellScores(model, undefined, cell));
  });

  test("a fresh projection on a trained text adapter has the text adapter's bits, in its gradient too [V7]", async () => {
    const adapter = seeing(model);
    const text = textInside(adapter, model);
    const fresh = initParameters(adapter.layout.table, 3);
    fresh.set(text.params);
    const cell = cellOf(model, [2, 0, -1, 1]);
    const state = { layout: adapter.layout, params: fresh };
    expect(await tokenLogits(model, state, cell)).toEqual(await tokenLogits(model, text, cell));
    const scale = 1 / labelled(cell);
    const own = await cellGradient(model, state, cell, scale);
    const theirs = await cellGradient(model, text, cell, scale);
    expect(own.lossSum).toBe(theirs.lossSum);
    expect(own.gradient.subarray(0, text.params.length)).toEqual(theirs.gradient);
    const second = adapter.layout.table.find(({ name }) => name === "proj.fc2.weight");
    expect(second && partNumbers(second, own.gradient).some((d) => d !== 0), "the projection wakes").toBe(true);
  });

  test("a text has the bits that it has without images, beside any of them [V7]", async () => {
    const adapter = seeing(model);
    const text = textInside(adapter, model);
    const plain = await tokenLogits(model, text, cellOf(model, undefined));
    const mixed = await tokenLogits(model, adapter, cellOf(model, [-1, 2, -1, 0]));
    const V = model.config.vocabSize;
    const rows = (all: Float32Array, [from, to]: readonly number[]) => all.subarray((from ?? 0) * V, (to ?? 0) * V);
    for (const range of [
      [0, 6],
      [9, 14],
    ])
      expect(rows(mixed, range)).toEqual(rows(plain, range));
    for (const range of [
      [6, 9],
      [14, 18],
    ])
      expect(rows(mixed, range)).not.toEqual(rows(plain, range));
    const scale = 1 / labelled(cellOf(model, undefined));
    const none = cellOf(model, [-1, -1, -1, -1]);
    const { lossSum, gradient } = await cellGradient(model, adapter, none, scale);
    const theirs = await cellGradient(model, text, none, scale);
    expect(lossSum).toBe(theirs.lossSum);
    expect(gradient).toEqual(Float32Array.from({ length: gradient.length }, (_, i) => theirs.gradient[i] ?? 0));
  });

  test("one vector a sequence is the same as its sum with every prompt [V8]", async () => {
    const adapter = seeing(model);
    const text = textInside(adapter, model);
    const { hiddenSize: D } = model.config;
    const added_ND = addedToPrompts(adapter, vision, images.values);
    for (const [row, s] of [
      [0, 1],
      [2, 0],
    ] as const) {
      const params = text.params.slice();
      for (const { prompt } of layerParts(text.layout)) {
        const rows_KD = partNumbers(prompt, params);
        for (let i = 0; i < rows_KD.length; i++) rows_KD[i] += added_ND[row * D + (i % D)];
      }
      const { ids_T, cuSeqlens } = cellOf(model, undefined);
      const tokens = oneSequence(ids_T.subarray(cuSeqlens[s], cuSeqlens[s + 1]));
      const slow = await tokenLogits(model, { layout: text.layout, params }, tokens);
      const fast = await tokenLogits(model, adapter, {
        ...tokens,
        images: { rowOf: Int32Array.of(row), rows: images },
      });
      const most = Math.max(...slow.map(Math.abs));
      expect(Math.max(...fast.map((z, i) => Math.abs(z - slow[i]))) / most).toBeLessThan(1e-5);
      expect(fast).not.toEqual(await tokenLogits(model, text, tokens));
    }
  });

  test("its gradient is the slope of the loss, in every part [V5]", async () => {
    const adapter = seeing(model);
    const cell = cellOf(model, [2, 0, 2, -1]);
    const { gradient } = await cellGradient(model, adapter, cell, 1);
    const lossAt = async (direction: Float32Array, h: number) => {
      const params = adapter.params.map((p, i) => p + h * direction[i]);
      return sum(await cellLosses(model, { ...adapter, params }, cell));
    };
    for (const part of adapter.layout.table) {
      const direction = new Float32Array(gradient.length);
      partNumbers(part, direction).set(partNumbers(part, gradient));
      const norm = Math.hypot(...direction);
      for (const i of direction.keys()) direction[i] /= norm;
      const slope = async (h: number) => ((await lossAt(direction, h)) - (await lossAt(direction, -h))) / (2 * h);
      const [coarse, fine] = [await slope(0.02), await slope(0.01)];
      expect(Math.abs((4 * fine - coarse) / 3 - norm), part.name).toBeLessThan(5e-3 * Math.max(norm, 0.2));
    }
  });
});

test("two rows of the same numbers are the same image, and cells of one pass have the bits of their own", async () => {
  const { model } = tinyModel();
  const adapter = seeing(model);
  const scale = 0.1;
  const one = await cellGradient(model, adapter, cellOf(model, [1, 0, -1, 1]), scale);
  const alike = await cellGradient(model, adapter, cellOf(model, [1, 0, -1, 3]), scale);
  expect(alike.lossSum).toBe(one.lossSum);
  const text = textInside(adapter, model);
  const tasks = [
    { adapter: text, cell: cellOf(model, [0, 1, 2, 3]), scale },
    { adapter, cell: cellOf(model, [1, 0, -1, 1]), scale },
    { adapter, cell: cellOf(model, [-1, 2, 2, -1]), scale },
  ];
  const alone = [];
  for (const task of tasks) alone.push(await cellGradient(model, task.adapter, task.cell, scale));
  expect(await cellGradients(model, tasks)).toEqual(alone);
  expect(alone[1]).toEqual(one);
});

test("a vector of zeros is left out of the forward pass, so that not even the sign of a zero changes, and has a gradient [V7]", async () => {
  const { model } = tinyModel();
  const { hiddenSize: D } = model.config;
  const added_ND = new Float32Array(2 * D).fill(-0).fill(0.5, D);
  const prompts = imageValues(model, [2], added_ND);
  const tokens = [0, 3] as const;
  const ranges = [0, 1].map((image) => ({ prompts, image, tokens: [3 * image, 3 * image + 3] as const }));
  const bound = new Map([
    [
      2,
      {
        kv_KY: model.engine.upload(new Float32Array(24)),
        gate_H: new Float32Array(4),
        beforeNorm: undefined,
        K: 1,
        outputBiasTimes: undefined,
      },
    ],
  ]);
  const sets = promptSets(2, [{ prompts: { layers: bound }, scale: 1, tokens, images: ranges }], 6);
  expect(sets.images.map(({ of }) => of?.image)).toEqual([0, 1]);
  expect(heardImages(sets).map(({ of }) => of?.image)).toEqual([1]);
});

test("features that are too few or of another size are refused", async () => {
  const { model } = tinyModel();
  const adapter = seeing(model);
  const attempt = "Cannot use the images of a cell";
  const run = (rowOf: number[], given: ImageRows) => cellLosses(model, adapter, cellOf(model, rowOf, given));
  await expect(run([0, 4, -1, -1], images)).rejects.toThrow(
    `${attempt}: row 4 of their features is named, there are 4`,
  );
  await expect(run([0, -1, -1, -1], { ...images, size: 14 })).rejects.toThrow(
    `${attempt}: features have 14 numbers each, the adapter takes 7`,
  );
});

describe("in generation", () => {
  const { model } = tinyModel();
  const adapter = seeing(model);
  const features = (row: number) => images.values.slice(row * C, (row + 1) * C);
  const options = { maxNewTokens: 6, eosTokenIds: [] };

  /** Continues a text by passes over all of it. */
  async function continued(promptIds: number[], row: number, own: AdapterState = adapter): Promise<number[]> {
    const ids = [...promptIds];
    while (ids.length < promptIds.length + 6) {
      const tokens = { ...oneSequence(ids), images: { rowOf: Int32Array.of(row), rows: images } };
      const logits = await tokenLogits(model, own, tokens, Int32Array.of(ids.length - 1));
      ids.push(logits.indexOf(Math.max(...logits)));
    }
    return ids.slice(promptIds.length);
  }

  test("texts about images, about none and of the base get the tokens that each gets alone, in one batch [V5]", async () => {
    const prompt = [4, 9, 22];
    const requests = [0, 2, -1, 0].map((row) => ({
      ...options,
      promptIds: prompt,
      adapter,
      image: row < 0 ? undefined : features(row),
    }));
    const found: number[][] = [[], [], [], [], []];
    for await (const event of generateBatch(model, [...requests, { ...options, promptIds: prompt }])) {
      if ("id" in event) found[event.request].push(event.id);
    }
    const alone = [];
    for (const row of [0, 2, -1, 0]) alone.push(await continued(prompt, row));
    expect(found).toEqual([
      ...alone,
      await continued(prompt, -1, { ...adapter, params: new Float32Array(adapter.params.length) }),
    ]);
    expect(new Set(found.map(String)).size).toBeGreaterThan(2);
    const session = await openSession(model, adapter, 10, features(2));
    const logits = await session.append(prompt);
    expect(logits.indexOf(Math.max(...logits))).toBe(alone[1][0]);
    await session.close();
  });

  test("a model of several adapters takes an image for each sequence", async () => {
    const own = new AdaptionPromptModel(model);
    const { layout, params } = adapter;
    own.addAdapter("seeing", { config: adapterConfig(), shape: layout.shape, params });
    own.addAdapter("blind", adapterConfig());
    const tokens = packSequences([{ ids: [4, 9, 22] }, { ids: [7, 1] }, { ids: [4, 9, 22] }]);
    const choices = [{ image: features(1) }, { adapter: "blind" }, {}];
    const mixed = await own.mixedLogits(tokens, choices, Int32Array.of(2, 7));
    const V = model.config.vocabSize;
    const seen = { ...oneSequence([4, 9, 22]), images: { rowOf: Int32Array.of(1), rows: images } };
    expect(mixed.subarray(0, V)).toEqual(await tokenLogits(model, adapter, seen, Int32Array.of(2)));
    expect(mixed.subarray(V)).toEqual(await tokenLogits(model, adapter, oneSequence([4, 9, 22]), Int32Array.of(2)));
    const cell = cellOf(model, [2, 0, -1, 1]);
    expect(await own.losses(cell)).toEqual(await cellLosses(model, adapter, cell));
    expect(await own.gradient(cell, 1)).toEqual(await cellGradient(model, adapter, cell, 1));
    const asked = own.generate([4, 9], { ...options, adapter: "blind", image: features(0) });
    await expect(asked.next()).rejects.toThrow(
      "Cannot answer about an image: the adapter was trained without images, use an adapter that was trained with them",
    );
    const other = own.generate([4, 9], { ...options, image: new Float32Array(3) });
    await expect(other.next()).rejects.toThrow("its features are 3 numbers, the adapter takes 7: use its own tower");
  });
});
