import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { noise } from "../../test/noise_image.ts";
import made from "../../test/pixel_values.json" with { type: "json" };
import { absent, sharedPath } from "../../test/shared.ts";
import { parseSafetensors } from "../formats/safetensors.ts";
import {
  type PreprocessSettings,
  preprocessedSize,
  preprocessImage,
  resizeAndCrop,
  resizedSize,
} from "./preprocess.ts";
import { defaultPreprocessor, type PreprocessorFamily, parsePreprocessor } from "./preprocess_config.ts";

type Case = readonly [PreprocessorFamily, number, number, object, readonly number[], string];
const cases = made.cases as unknown as readonly Case[];

test.each(cases)(
  "%s, noise of %i × %i, %o: transformers' numbers [V1]",
  (family, width, height, keys, shape, base64) => {
    const settings = parsePreprocessor(keys, "x", family);
    const pixels = preprocessImage(noise(width, height, false), settings);
    const size = preprocessedSize({ width, height }, settings);
    expect([3, size.height, size.width]).toEqual(shape);
    const expected = new Float32Array(Uint8Array.from(Buffer.from(base64, "base64")).buffer);
    const scale = Math.max(...expected.map(Math.abs));
    expect(pixels).toHaveLength(expected.length);
    for (const [i, v] of pixels.entries()) expect(Math.abs(v - expected[i]) / scale).toBeLessThan(2e-7);
  },
);

const square = (side: number) => ({ width: side, height: side });
const plain: PreprocessSettings = {
  resize: undefined,
  filter: "bicubic",
  crop: undefined,
  rescale: 1 / 255,
  normalize: undefined,
};

test("the short side decides, the long one is cut off below, as Python's int does", () => {
  const to = (width: number, height: number, shortestEdge: number) =>
    resizedSize({ width, height }, { resize: { shortestEdge } });
  expect(to(336, 224, 32)).toEqual({ width: 48, height: 32 });
  expect(to(210, 336, 224)).toEqual({ width: 224, height: 358 });
  expect(to(100, 199, 10)).toEqual({ width: 10, height: 19 });
  expect(to(7, 7, 3)).toEqual(square(3));
  expect(to(11, 15, 11)).toEqual({ width: 11, height: 15 }); // 11 · (15 / 11) is below 15
  expect(resizedSize({ width: 5, height: 9 }, plain)).toEqual({ width: 5, height: 9 });
});

test("the crop is from the middle; an image that lacks pixels is black around", () => {
  const image = noise(7, 4, false);
  const pixel = (from: { data: Uint8Array; width: number }, x: number, y: number) => [
    ...from.data.subarray(3 * (y * from.width + x), 3 * (y * from.width + x) + 3),
  ];
  const small = resizeAndCrop(image, { ...plain, crop: { width: 4, height: 3 } });
  expect([pixel(small, 0, 0), pixel(small, 3, 2)]).toEqual([pixel(image, 1, 0), pixel(image, 4, 2)]);
  // Wider than the image by 3: one black column before it, two behind it; lower by 2.
  const padded = resizeAndCrop(image, { ...plain, crop: { width: 10, height: 2 } });
  expect(padded.data).toHaveLength(60);
  expect([pixel(padded, 0, 0), pixel(padded, 8, 1), pixel(padded, 9, 0)]).toEqual([
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
  ]);
  expect([pixel(padded, 1, 0), pixel(padded, 7, 1)]).toEqual([pixel(image, 0, 1), pixel(image, 6, 2)]);
});

test("a thin image of 30,000 × 1 becomes a tower's square at the cost of the square [V2]", () => {
  const settings = defaultPreprocessor("clip", 224);
  const pixels = preprocessImage(noise(30_000, 1, false), settings);
  expect(pixels).toHaveLength(3 * 224 * 224);
  expect(pixels.every(Number.isFinite)).toBe(true);
});

test("one pixel becomes a square of its colour [V2]", () => {
  const { data } = resizeAndCrop({ ...square(1), data: Uint8Array.of(10, 200, 255) }, defaultPreprocessor("siglip", 5));
  expect([...data]).toEqual(Array.from({ length: 75 }, (_, i) => [10, 200, 255][i % 3]));
});

test("bytes become numbers in float32, step by step, channel first", () => {
  const normalize = { mean: [0.5, 0.25, 0.125], std: [0.5, 0.3, 0.7] } as const;
  const image = { width: 2, height: 1, data: Uint8Array.of(0, 128, 255, 51, 77, 3) };
  const f = Math.fround;
  const of = (byte: number, c: 0 | 1 | 2) => f(f(f(byte / 255) - f(normalize.mean[c])) / f(normalize.std[c]));
  const expected = [of(0, 0), of(51, 0), of(128, 1), of(77, 1), of(255, 2), of(3, 2)];
  expect([...preprocessImage(image, { ...plain, normalize })]).toEqual(expected);
  // Blue first, with the mean of what is first.
  const turned = [of(255, 0), of(3, 0), of(128, 1), of(77, 1), of(0, 2), of(51, 2)];
  expect([...preprocessImage(image, { ...plain, normalize }, "bgr")]).toEqual(turned);
});

const golden = absent("golden/multimodal_preprocess");
describe.skipIf(golden !== "")(`golden/multimodal_preprocess${golden}`, () => {
  const path = sharedPath("golden/multimodal_preprocess/tensors.safetensors");
  const clip = defaultPreprocessor("clip", 32);
  test("normalised pixels of a cropped photo, bit for bit [V1]", () => {
    const { tensors } = parseSafetensors(new Uint8Array(readFileSync(path)), path);
    for (const photo of ["photo0", "photo1"]) {
      const crop = tensors.get(`${photo}/crop32`)?.bytes ?? new Uint8Array();
      const image = { width: 32, height: 32, data: crop };
      expect(createHash("sha256").update(resizeAndCrop(image, clip).data).digest()).toEqual(
        Buffer.from(tensors.get(`${photo}/crop32_sha256`)?.bytes ?? []),
      );
      const expected = tensors.get(`${photo}/pixel_values32`)?.bytes.slice().buffer;
      const pixels = preprocessImage(image, { ...clip, resize: undefined });
      expect(pixels).toEqual(new Float32Array(expected ?? new ArrayBuffer(0)));
    }
  });
});
