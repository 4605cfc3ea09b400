import { describe, expect, test } from "vitest";
import { cellOfImages, textInside } from "../../test/image_cells.ts";
import { tinyBases } from "../../test/tiny_bases.ts";
import { labelled, tinyAdapter, tinyModel } from "../../test/tiny_model.ts";
import { seeingQueries } from "../../test/visual_adapter.ts";
import { layerParts } from "../adapter/kinds/adaption_prompt.ts";
import type { AdapterState } from "../adapter/kinds/kind.ts";
import { partNumbers } from "../adapter/parameters.ts";
import { visualQueries } from "../adapter/parts/visual_queries.ts";
import { type ImageRows, imageInput } from "../cell/tokens.ts";
import { generateBatch, openSession } from "../generate/generate.ts";
import { normal } from "../random.ts";
import type { DecoderModel } from "./decoder.ts";
import { cellGradient, cellGradients, cellLosses, cellScores, sum } from "./gradient.ts";
import { oneSequence, tokenLogits } from "./logits.ts";

const [C, M] = [5, 4];
/** Three images, then one of the first two; what stands for a missing one is the third. */
const images: ImageRows = {
  size: M * C,
  values: Float32Array.from({ length: 3 * M * C }, (_, i) => normal(8, 0, i)),
  joined: [[0, 1]],
  missing: 2,
};

const cellOf = (model: DecoderModel, rowOf: readonly number[] | undefined, rows = images) =>
  cellOfImages(model, rowOf, rows);

/** The rows of `images` as an adapter's visual parts see them, made before. */
function madeBefore(adapter: AdapterState): ImageRows {
  const { vision } = adapter.layout.shape;
  if (vision?.fusion !== "query") throw new RangeError("expected the fusion query");
  const queries = [0, 1, 2, 3].flatMap((row) => {
    const tokens = imageInput(images, row);
    return "queries" in tokens ? [] : [...visualQueries(adapter, vision, tokens)];
  });
  return { values: Float32Array.from(queries), size: queries.length / 4, holds: "queries", missing: 2 };
}

describe.each(tinyBases)("$title", ({ changes }) => {
  const { model } = tinyModel(changes);

  test("gates of zero have the bits of the base, whatever the images [V7]", async () => {
    const adapter = seeingQueries(model.config);
    for (const { gate } of layerParts(adapter.layout)) partNumbers(gate, adapter.params).fill(0);
    const cell = cellOf(model, [2, 0, -1, 3]);
    expect(await tokenLogits(model, adapter, cell)).toEqual(await tokenLogits(model, undefined, cell));
    expect(await cellScores(model, adapter, cell)).toEqual(await cellScores(model, undefined, cell));
  });

  test("a text has the bits that it has without images, beside any of them [V7]", async () => {
    const adapter = seeingQueries(model.config);
    const text = textInside(adapter, model);
    const plain = await tokenLogits(model, text, cellOf(model, undefined));
    const mixed = await tokenLogits(model, adapter, cellOf(model, [-1, 2, -1, 0]));
    const V = model.config.vocabSize;
    const rows = (all: Float32Array, from: number, to: number) => all.subarray(from * V, to * V);
    expect(rows(mixed, 0, 6)).toEqual(rows(plain, 0, 6));
    expect(rows(mixed, 9, 14)).toEqual(rows(plain, 9, 14));
    expect(rows(mixed, 6, 9)).not.toEqual(rows(plain, 6, 9));
    expect(rows(mixed, 14, 18)).not.toEqual(rows(plain, 14, 18));
    const scale = 1 / labelled(cellOf(model, undefined));
    const none = cellOf(model, [-1, -1, -1, -1]);
    const { lossSum, gradient } = await cellGradient(model, adapter, none, scale);
    const theirs = await cellGradient(model, text, none, scale);
    expect(lossSum).toBe(theirs.lossSum);
    expect(gradient).toEqual(Float32Array.from({ length: gradient.length }, (_, i) => theirs.gradient[i] ?? 0));
  });

  test("queries of zero have the bits of the text adapter, and wake [V7]", async () => {
    const adapter = seeingQueries(model.config);
    for (const part of adapter.layout.table) {
      if (part.name.startsWith("visual_proj_norm")) partNumbers(part, adapter.params).fill(0);
    }
    const text = textInside(adapter, model);
    const cell = cellOf(model, [2, 0, -1, 3]);
    expect(await tokenLogits(model, adapter, cell)).toEqual(await tokenLogits(model, text, cell));
    const { gradient } = await cellGradient(model, adapter, cell, 1);
    const norm = adapter.layout.table.find(({ name }) => name === "visual_proj_norm.weight");
    expect(norm && partNumbers(norm, gradient).some((d) => d !== 0)).toBe(true);
  });

  test("its gradient is the slope of the loss, in every part, of one image, two, the same again and none [V6]", async () => {
    const adapter = seeingQueries(model.config);
    const cell = cellOf(model, [2, 3, 2, -1]);
    const { gradient } = await cellGradient(model, adapter, cell, 1);
    const lossAt = async (direction: Float32Array, h: number) => {
      const params = adapter.params.map((p, i) => p + h * direction[i]);
      return sum(await cellLosses(model, { ...adapter, params }, cell));
    };
    for (const kind of [
      "prompt",
      "gate",
      "visual_query",
      "clip_",
      "visual_blocks.0",
      "visual_blocks.1",
      "visual_proj",
    ]) {
      const direction = new Float32Array(gradient.length);
      for (const part of adapter.layout.table) {
        if (part.part === kind || part.name.startsWith(kind)) {
          partNumbers(part, direction).set(partNumbers(part, gradient));
        }
      }
      const norm = Math.hypot(...direction);
      for (const i of direction.keys()) direction[i] /= norm;
      const slope = async (h: number) => ((await lossAt(direction, h)) - (await lossAt(direction, -h))) / (2 * h);
      // A further step sends tokens to other experts, and bends what delta nets keep.
      const h = (model.config.experts ?? model.config.deltaNet) ? 1e-3 : 0.01;
      const [coarse, fine] = [await slope(2 * h), await slope(h)];
      expect(Math.abs((4 * fine - coarse) / 3 - norm), kind).toBeLessThan(5e-3 * Math.max(norm, 0.2));
    }
  });
});

describe("on one base", () => {
  const { model } = tinyModel();
  const adapter = seeingQueries(model.config);

  test("several images are their tokens one after another [V6]", () => {
    expect(imageInput(images, 3)).toEqual(images.values.subarray(0, 2 * M * C));
    expect(imageInput({ ...images, joined: [[2, 0, 2]] }, 3)).toHaveLength(3 * M * C);
  });

  test("queries that were made before have the same bits, and teach the prompts alone [V6]", async () => {
    const cell = cellOf(model, [2, 3, -1, 0]);
    const before = cellOf(model, [2, 3, -1, 0], madeBefore(adapter));
    expect(await tokenLogits(model, adapter, before)).toEqual(await tokenLogits(model, adapter, cell));
    const [own, theirs] = [await cellGradient(model, adapter, before, 1), await cellGradient(model, adapter, cell, 1)];
    const { length } = textInside(adapter, model).params;
    expect(own.lossSum).toBe(theirs.lossSum);
    expect(own.gradient.subarray(0, length)).toEqual(theirs.gradient.subarray(0, length));
    expect(own.gradient.subarray(length).every((d) => d === 0)).toBe(true);
    expect(theirs.gradient.subarray(length).every((d) => d === 0)).toBe(false);
  });

  test("an image that is missing is none, or the one that stands for it [V6]", async () => {
    const zero = seeingQueries(model.config, { missingImage: "zero-image" });
    const shown = await tokenLogits(model, adapter, cellOf(model, [2, 1, 2, 0]));
    expect(await tokenLogits(model, zero, cellOf(model, [-1, 1, -1, 0]))).toEqual(shown);
    expect(await tokenLogits(model, adapter, cellOf(model, [-1, 1, -1, 0]))).not.toEqual(shown);
    const { missing: _, ...rows } = images;
    await expect(tokenLogits(model, zero, cellOf(model, [-1, 1, -1, 0], rows))).rejects.toThrow(
      "Cannot use the images of a cell: one is missing, and no row says what the adapter sees in its place",
    );
  });

  test("cells of one pass have the bits of their own, whatever adapters and images are beside them", async () => {
    const tasks = [
      { adapter: textInside(adapter, model), cell: cellOf(model, [0, 1, 2, 3]), scale: 0.1 },
      { adapter, cell: cellOf(model, [1, 0, -1, 1]), scale: 0.1 },
      { adapter: tinyAdapter(model.config), cell: cellOf(model, undefined), scale: 0.1 },
      { adapter, cell: cellOf(model, [-1, 3, 2, -1]), scale: 0.1 },
    ];
    const alone = [];
    for (const task of tasks) alone.push(await cellGradient(model, task.adapter, task.cell, task.scale));
    expect(await cellGradients(model, tasks)).toEqual(alone);
  });

  test.each([
    ["a row that is not there", [4, -1, -1, -1], images, "row 4 of their features is named, there are 4"],
    [
      "no whole tokens",
      [0, -1, -1, -1],
      { ...images, size: 12 },
      "features have 12 numbers each, the adapter takes tokens of 5",
    ],
    [
      "queries of another size",
      [0, -1, -1, -1],
      { values: new Float32Array(9), size: 9, holds: "queries" },
      "features have 9 numbers each, the adapter takes queries of 3 × 12",
    ],
  ] as const)("%s is refused", async (_, rowOf, rows, said) => {
    await expect(cellLosses(model, adapter, cellOf(model, rowOf, rows))).rejects.toThrow(
      `Cannot use the images of a cell: ${said}`,
    );
  });

  test("texts about images, about none and of the base get the tokens that each gets alone, in one batch [V6]", async () => {
    const prompt = [4, 9, 22];
    const options = { maxNewTokens: 6, eosTokenIds: [] };
    const seen = [0, 3, -1, 0].map((row) => (row < 0 ? undefined : imageInput(images, row)));
    const requests = seen.map((image) => ({ ...options, promptIds: prompt, adapter, image }));
    const found: number[][] = [[], [], [], [], []];
    for await (const event of generateBatch(model, [...requests, { ...options, promptIds: prompt }])) {
      if ("id" in event) found[event.request].push(event.id);
    }
    const continued = async (row: number, own: AdapterState | undefined) => {
      const ids = [...prompt];
      while (ids.length < 9) {
        const tokens = { ...oneSequence(ids), images: { rowOf: Int32Array.of(row), rows: images } };
        const logits = await tokenLogits(model, own, tokens, Int32Array.of(ids.length - 1));
        ids.push(logits.indexOf(Math.max(...logits)));
      }
      return ids.slice(3);
    };
    const alone = [];
    for (const row of [0, 3, -1, 0]) alone.push(await continued(row, adapter));
    expect(found).toEqual([...alone, await continued(-1, undefined)]);
    expect(new Set(found.map(String)).size).toBeGreaterThan(2);
    const session = await openSession(model, adapter, 10, imageInput(madeBefore(adapter), 3));
    const logits = await session.append(prompt);
    expect(logits.indexOf(Math.max(...logits))).toBe(alone[1][0]);
    await session.close();
  });

  test("generation refuses an image that does not fit, and a missing one that something must stand for", async () => {
    await expect(openSession(model, adapter, 10, new Float32Array(7))).rejects.toThrow(
      "Cannot answer about an image: its features are 7 numbers, the adapter takes tokens of 5: use its own tower",
    );
    const zero = seeingQueries(model.config, { missingImage: "zero-image" });
    await expect(openSession(model, zero, 10)).rejects.toThrow("Cannot answer without an image: the adapter sees");
  });
});
