/** Bases loaded with fewer bits: what is quantised, and that reading in chunks changes nothing. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { tinyBases } from "../../test/tiny_bases.ts";
import { writeTinyModel } from "../../test/tiny_files.ts";
import { tinyConfig, tinyImage } from "../../test/tiny_model.ts";
import type { DType, ScaledDType } from "../engine/engine.ts";
import { createReferenceEngine } from "../engine/reference.ts";
import { InputError } from "../errors.ts";
import { narrow, widen } from "../formats/dtype.ts";
import { dequantize, quantize, scaledRows, tensorBytes } from "../formats/scaled.ts";
import { createModel } from "../model/decoder.ts";
import { imageBytes, isLinearMap, type WeightImage, weightOf } from "../model/weights.ts";
import { loadWeights, weightBytes } from "./model_files.ts";
import { quantizedRange } from "./quantized_range.ts";

const folder = mkdtempSync(join(tmpdir(), "zerogate-int8-"));
afterAll(() => rmSync(folder, { recursive: true }));

const weightDtypes = ["f32", "bf16", "f16", "i8", "f8", "nf4", "i4"] as const;
const int8 = { weightDtypes, storage: "int8" } as const;

/** The whole tensor at once. */
function quantizedWhole(image: WeightImage, name: string, dtype: ScaledDType = "i8"): Uint8Array {
  const { shape = [], bytes = new Uint8Array() } = weightOf(image, name) ?? {};
  return quantize(dtype, new Float32Array(bytes.slice().buffer), shape, name);
}

test.each([
  { storage: "fp8", as: "f8", tag: "" },
  { storage: "nf4", as: "nf4", tag: " [M-nf4]" },
  { storage: "int4", as: "i4", tag: " [M-int4]" },
] as const)(
  "a base loaded as $storage has its linear maps in that form, all else stays$tag",
  async ({ storage, as }) => {
    const config = tinyConfig();
    writeTinyModel(folder, config, tinyImage(config));
    const plain = await loadWeights(folder, config, { weightDtypes });
    const image = await loadWeights(folder, config, { weightDtypes, storage });
    for (const [name, { dtype }] of Object.entries(image.places)) {
      expect(dtype === as, name).toBe(isLinearMap(name));
      const expected = isLinearMap(name) ? quantizedWhole(plain, name, as) : weightOf(plain, name)?.bytes;
      expect(weightOf(image, name)?.bytes, name).toEqual(expected);
    }
    createModel(createReferenceEngine(), config, image);
    const load = loadWeights(folder, config, { weightDtypes: ["f32", "i8"], storage });
    await expect(load).rejects.toThrow(`as ${storage}: the engine takes f32, i8`);
  },
);

describe("a base loaded as int8", () => {
  test.each(tinyBases)("$title: its linear maps are quantised by row, all else stays", async ({ changes }) => {
    const config = tinyConfig(changes);
    writeTinyModel(folder, config, tinyImage(config));
    const plain = await loadWeights(folder, config, { weightDtypes });
    const image = await loadWeights(folder, config, int8);
    for (const [name, { dtype, offset }] of Object.entries(image.places)) {
      expect(dtype === "i8", name).toBe(isLinearMap(name));
      expect(offset % 64).toBe(0);
      const expected = isLinearMap(name) ? quantizedWhole(plain, name) : weightOf(plain, name)?.bytes;
      expect(Buffer.compare(weightOf(image, name)?.bytes ?? new Uint8Array(), expected ?? new Uint8Array()), name).toBe(
        0,
      );
    }
    expect(imageBytes(image)).toBeLessThan(imageBytes(plain));
    expect(await weightBytes(folder, config, { ...int8, mapFiles: true })).toBe(imageBytes(image));
    createModel(createReferenceEngine(), config, image);
  });

  test("an engine without int8 is no engine for it", async () => {
    const config = tinyConfig();
    writeTinyModel(folder, config, tinyImage(config));
    const load = loadWeights(folder, config, { weightDtypes: ["f32"], storage: "int8" });
    await expect(load).rejects.toThrow("as int8: the engine takes f32");
  });

  test("a map with a number that is not finite is named", async () => {
    const config = tinyConfig();
    const image = tinyImage(config);
    const { offset } = image.places["layers.1.down"];
    new Float32Array(image.bytes, offset, 1)[0] = Number.NaN;
    writeTinyModel(folder, config, image);
    await expect(loadWeights(folder, config, int8)).rejects.toThrow(InputError);
    await expect(loadWeights(folder, config, int8)).rejects.toThrow("Cannot store layers.1.down in int8");
  });

  test("more than a chunk of it, with rows that do not divide one, is quantised as the whole", async () => {
    const config = tinyConfig({ hiddenSize: 701, heads: 1, kvHeads: 1, headDim: 2, intermediateSize: 1601, layers: 1 });
    writeTinyModel(folder, config, tinyImage(config)); // gate, up and down: 4.5 MB each
    const plain = await loadWeights(folder, config, { weightDtypes });
    const image = await loadWeights(folder, config, int8);
    for (const name of ["layers.0.gateUp", "layers.0.down"]) {
      expect(Buffer.compare(weightOf(image, name)?.bytes ?? new Uint8Array(), quantizedWhole(plain, name)), name).toBe(
        0,
      );
    }
  });
});

describe("quantizedRange", () => {
  const [rows, columns] = [11, 7];
  const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(1.7 * i) * (1 + (i % 5)));

  function chunked(
    to: ScaledDType,
    dtype: DType,
    part: { readonly change?: "transpose"; readonly rowTo?: (row: number) => number },
    numbersAChunk: (unit: number) => number,
  ): Uint8Array {
    const bytes = narrow(values, dtype);
    const size = bytes.length / values.length;
    const shape = [rows, columns];
    const [ours, across] = part.change ? [columns, rows] : [rows, columns];
    const out = new Uint8Array(tensorBytes(to, [ours, across]));
    const tensor = { shape, begin: 100, end: 100 + bytes.length } as never;
    const { onChunk, unit = 1 } = quantizedRange({ tensor, dtype, part }, scaledRows(to, out, [ours, across]), "w");
    const step = size * numbersAChunk(unit / size);
    const starts = Array.from({ length: Math.ceil(bytes.length / step) }, (_, i) => i * step);
    expect(step % unit).toBe(0);
    // Lanes finish in any order.
    for (const from of starts.toSorted((a, b) => ((a * 7) % 13) - ((b * 7) % 13))) {
      void onChunk?.(bytes.slice(from, from + step), from);
    }
    return out;
  }

  const ways = (["f32", "bf16", "f16"] as const).flatMap((dtype) =>
    (["i8", "f8", "nf4", "i4"] as const).map((to) => [dtype, to] as const),
  );
  test.each(ways)("any chunks of %s in any order give what the whole gives as %s", (dtype, to) => {
    const widened = new Float32Array(values.length);
    widen(dtype, narrow(values, dtype), widened);
    const expected = quantize(to, widened, [rows, columns], "w");
    const rowTo = (row: number) => (row * 3) % rows;
    const moved = new Float32Array(values.length);
    for (let row = 0; row < rows; row++) {
      moved.set(widened.subarray(row * columns, (row + 1) * columns), rowTo(row) * columns);
    }
    const expectedMoved = quantize(to, moved, [rows, columns], "w");
    for (const lines of [1, 2, 3, 11]) {
      expect(chunked(to, dtype, {}, (unit) => lines * unit)).toEqual(expected);
      expect(chunked(to, dtype, { rowTo }, (unit) => lines * unit)).toEqual(expectedMoved);
    }
    const turned = Float32Array.from(widened, (_, i) => widened[(i % rows) * columns + Math.floor(i / rows)]);
    const expectedTurned = quantize(to, turned, [columns, rows], "w");
    for (const numbers of [1, 5, 32, 77]) {
      expect(chunked(to, dtype, { change: "transpose" }, () => numbers)).toEqual(expectedTurned);
    }
    const back = dequantize(to, expected, [rows, columns]);
    expect(back.every((x, i) => Math.abs(x - widened[i]) < 1)).toBe(true);
  });
});
