import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { noise } from "../../test/noise_image.ts";
import pillow from "../../test/pillow_values.json" with { type: "json" };
import { absent, sharedPath } from "../../test/shared.ts";
import { parseSafetensors } from "../formats/safetensors.ts";
import { type ResizeFilter, resizeImage } from "./resize.ts";

type Case = readonly [
  width: number,
  height: number,
  toWidth: number,
  toHeight: number,
  filter: ResizeFilter,
  isHard: boolean,
  expected: string,
];
const cases = pillow.cases as unknown as readonly Case[];

test.each(cases)("%i × %i to %i × %i, %s, only 0 and 255: %s: Pillow's bytes [V1]", (...one) => {
  const [width, height, toWidth, toHeight, filter, isHard, expected] = one;
  const { data, ...size } = resizeImage(noise(width, height, isHard), { width: toWidth, height: toHeight }, filter);
  expect(size).toEqual({ width: toWidth, height: toHeight });
  const isHash = /^[0-9a-f]{64}$/.test(expected);
  const bytes = Buffer.from(data);
  expect(isHash ? createHash("sha256").update(bytes).digest("hex") : bytes.toString("base64")).toBe(expected);
});

test("a window has the bytes that it has in the whole", () => {
  const image = noise(37, 29, false);
  for (const filter of ["bicubic", "bilinear"] as const) {
    for (const size of [
      { width: 50, height: 11 },
      { width: 37, height: 64 },
      { width: 12, height: 9 },
    ]) {
      const whole = resizeImage(image, size, filter);
      const window = { left: 3, top: 2, width: 7, height: 5 };
      const part = resizeImage(image, size, filter, window);
      const rows = Array.from({ length: 5 }, (_, y) => {
        const at = 3 * ((y + 2) * size.width + 3);
        return [...whole.data.subarray(at, at + 21)];
      });
      expect([...part.data]).toEqual(rows.flat());
    }
  }
});

test("a result that would not fit in memory costs its window only", () => {
  const thin = noise(30_000, 1, false);
  const size = { width: 224 * 30_000, height: 224 };
  const { data } = resizeImage(thin, size, "bicubic", { left: 3_359_888, top: 0, width: 224, height: 224 });
  expect(data).toHaveLength(3 * 224 * 224);
});

test("the result is new memory, and the image stays as it is", () => {
  const image = noise(4, 4, false);
  const before = image.data.slice();
  const same = resizeImage(image, { width: 4, height: 4 }, "bicubic");
  same.data.fill(0);
  resizeImage(image, { width: 9, height: 2 }, "bilinear");
  expect(image.data).toEqual(before);
});

test("sizes that are none, windows that stick out and images with other bytes are refused", () => {
  const image = noise(4, 4, false);
  const refused = (width: number, height: number) => () => resizeImage(image, { width, height }, "bicubic");
  for (const [width, height] of [
    [0, 4],
    [4, -1],
    [2.5, 4],
    [Number.NaN, 4],
  ] as const) {
    expect(refused(width, height)).toThrow(RangeError);
  }
  const window = { left: 2, top: 0, width: 3, height: 4 };
  expect(() => resizeImage(image, image, "bicubic", window)).toThrow(
    "Cannot resize to 4 × 4 pixels: the window 3 × 4 at 2, 0 is not inside",
  );
  expect(() => resizeImage({ ...image, height: 5 }, image, "bicubic")).toThrow(
    "Cannot use an image of 4 × 5 pixels: expected 60 bytes for sides above 0, got 48",
  );
});

const golden = absent("golden/multimodal_preprocess");
describe.skipIf(golden !== "")(`golden/multimodal_preprocess${golden}`, () => {
  const read = () => {
    const path = sharedPath("golden/multimodal_preprocess/tensors.safetensors");
    return parseSafetensors(new Uint8Array(readFileSync(path)), path).tensors;
  };
  test.each(["down", "up", "mixed", "same"])("%s: the bytes of both filters [V1]", (name) => {
    const tensors = read();
    const source = tensors.get(`resize/${name}/in`);
    const [height = 0, width = 0] = source?.shape ?? [];
    for (const filter of ["bicubic", "bilinear"] as const) {
      const expected = tensors.get(`resize/${name}/${filter}`);
      const [toHeight = 0, toWidth = 0] = expected?.shape ?? [];
      const image = { width, height, data: source?.bytes ?? new Uint8Array() };
      expect(resizeImage(image, { width: toWidth, height: toHeight }, filter).data).toEqual(
        Uint8Array.from(expected?.bytes ?? []),
      );
    }
  });
});
