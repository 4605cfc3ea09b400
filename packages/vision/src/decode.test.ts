import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { crc32, deflateSync } from "node:zlib";
import { InputError } from "@zerogate/core";
import sharp, { type Sharp } from "sharp";
import { expect, test } from "vitest";
import { absent, sharedPath } from "../../core/test/shared.ts";
import { noiseBytes, picture, pngChunks } from "../test/pictures.ts";
import pillow from "../test/pillow_decoded.json" with { type: "json" };
import { type DecodeOptions, decodeImage } from "./decode.ts";

const decode = (bytes: Uint8Array, options?: DecodeOptions) => decodeImage(bytes, "x", options);
const bytesOf = async (file: Uint8Array, options?: DecodeOptions) => [...(await decode(file, options)).data];

async function problemOf(bytes: Uint8Array): Promise<string> {
  const error = await decode(bytes).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof InputError ? error.message : `not refused: ${String(error)}`;
}

test("a PNG's pixels are its bytes, interlaced or not, also of one pixel [V2]", async () => {
  for (const [width, height] of [
    [7, 5],
    [1, 1],
    [300, 1],
  ] as const) {
    for (const progressive of [false, true]) {
      const image = await decode(await picture(width, height).png({ progressive }).toBuffer());
      expect([image.width, image.height]).toEqual([width, height]);
      expect([...image.data]).toEqual([...noiseBytes(3 * width * height)]);
    }
  }
});

test("alpha is dropped, not blended; grey is replicated [V2]", async () => {
  const raw = noiseBytes(4 * 35);
  raw[3] = 0; // a pixel that nobody sees keeps its colour
  const rgba = await sharp(raw, { raw: { width: 7, height: 5, channels: 4 } })
    .png()
    .toBuffer();
  expect(await bytesOf(rgba)).toEqual([...raw].filter((_, i) => i % 4 < 3));
  const grey = noiseBytes(35);
  const threefold = Array.from(grey, (byte) => [byte, byte, byte]).flat();
  const greyFile = sharp(grey, { raw: { width: 7, height: 5, channels: 1 } }).toColourspace("b-w");
  expect(await bytesOf(await greyFile.png().toBuffer())).toEqual(threefold);
  const veiled = Buffer.from(Array.from(grey, (byte, i) => [byte, i]).flat());
  const greyAlpha = sharp(veiled, { raw: { width: 7, height: 5, channels: 2 } }).toColourspace("b-w");
  expect(await bytesOf(await greyAlpha.png().toBuffer())).toEqual(threefold);
});

test("a palette is expanded, its transparency dropped [V2]", async () => {
  const colours = [...noiseBytes(12)];
  const places = Array.from({ length: 24 }, (_, i) => (i * 7) % 4);
  const chunk = (name: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(name, "latin1"), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.from([0, 0, 0, 6, 0, 0, 0, 4, 8, 3, 0, 0, 0]);
  const rows = Buffer.concat(Array.from({ length: 4 }, (_, y) => Buffer.from([0, ...places.slice(6 * y, 6 * y + 6)])));
  const parts = (more: Buffer[]) =>
    Buffer.concat([
      Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
      chunk("IHDR", head),
      chunk("PLTE", Buffer.from(colours)),
      ...more,
      chunk("IDAT", deflateSync(rows)),
      chunk("IEND", Buffer.alloc(0)),
    ]);
  const expected = places.flatMap((place) => colours.slice(3 * place, 3 * place + 3));
  expect(await bytesOf(parts([]))).toEqual(expected);
  expect(await bytesOf(parts([chunk("tRNS", Buffer.from([0, 128]))]))).toEqual(expected);
});

test("of 16 bits the upper 8 are kept, in colour and in grey [V2]", async () => {
  const values = Uint16Array.from({ length: 105 }, (_, i) => (i * 40_503) & 0xffff);
  const wide = sharp(values, { raw: { width: 7, height: 5, channels: 3 } }).toColourspace("rgb16");
  expect(await bytesOf(await wide.png().toBuffer())).toEqual(Array.from(values, (value) => value >> 8));
  const grey = sharp(values.slice(0, 35), { raw: { width: 7, height: 5, channels: 1 } }).toColourspace("grey16");
  const expected = Array.from(values.slice(0, 35), (value) => Array(3).fill(value >> 8)).flat();
  expect(await bytesOf(await grey.png().toBuffer())).toEqual(expected);
});

test("a colour profile is ignored [V2]", async () => {
  const file = await picture(7, 5).withIccProfile("p3").png().toBuffer();
  const chunks = pngChunks(file);
  expect(chunks.map(({ name }) => name)).toContain("iCCP");
  const without = chunks.filter(({ name }) => name !== "iCCP").map(({ bytes }) => bytes);
  expect(await bytesOf(file)).toEqual(await bytesOf(Buffer.concat([file.subarray(0, 8), ...without])));
});

test("an image is turned as its EXIF says, or stays as it lies [V2]", async () => {
  const raw = noiseBytes(3 * 6);
  const pixel = (i: number) => [...raw.subarray(3 * i, 3 * i + 3)];
  // 3 wide, 2 high; each list is the turned image in rows.
  const turned: Readonly<Record<number, readonly number[]>> = {
    1: [0, 1, 2, 3, 4, 5],
    2: [2, 1, 0, 5, 4, 3],
    3: [5, 4, 3, 2, 1, 0],
    4: [3, 4, 5, 0, 1, 2],
    5: [0, 3, 1, 4, 2, 5],
    6: [3, 0, 4, 1, 5, 2],
    7: [5, 2, 4, 1, 3, 0],
    8: [2, 5, 1, 4, 0, 3],
  };
  for (const [orientation, order] of Object.entries(turned)) {
    const file = await picture(3, 2)
      .withMetadata({ orientation: Number(orientation) })
      .png()
      .toBuffer();
    const image = await decode(file);
    expect([...image.data], orientation).toEqual(order.flatMap(pixel));
    expect(image.width).toBe(Number(orientation) < 5 ? 3 : 2);
    expect(await bytesOf(file, { exif: "ignore" })).toEqual([...raw]);
  }
});

test("of frames and pages the first is used, with a word", async () => {
  const frames = sharp(noiseBytes(3 * 7 * 10), { raw: { width: 7, height: 10, channels: 3, pageHeight: 5 } });
  const warnings: string[] = [];
  const { width, height } = await decode(await frames.gif().toBuffer(), { onWarning: (text) => warnings.push(text) });
  expect([width, height]).toEqual([7, 5]);
  expect(warnings).toEqual(["x has 2 frames or pages: the first one is used"]);
});

const encoders = {
  jpeg: (one: Sharp) => one.jpeg(),
  png: (one: Sharp) => one.png(),
  webp: (one: Sharp) => one.webp(),
  gif: (one: Sharp) => one.gif(),
  tiff: (one: Sharp) => one.tiff({ compression: "lzw" }),
  avif: (one: Sharp) => one.avif(),
} as const;
test.each(Object.keys(encoders) as (keyof typeof encoders)[])(
  "%s is read whole and refused when cut off [V2]",
  async (kind) => {
    const file = await encoders[kind](picture(64, 48)).toBuffer();
    const { width, height, data } = await decode(file);
    expect([width, height, data.length]).toEqual([64, 48, 3 * 64 * 48]);
    for (const share of [0.3, 0.6, 0.9]) {
      const problem = await problemOf(file.subarray(0, Math.floor(file.length * share)));
      expect(problem, `${share}`).toContain(
        `Cannot read the image x: this ${kind.toUpperCase()} is damaged or cut off (`,
      );
    }
  },
);

test("what is no raster image is named, and no decoder sees it [V2, V14]", async () => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>';
  const of = (text: string) => problemOf(Buffer.from(text, "latin1"));
  const needed = ", needed is a JPEG, PNG, WebP, GIF, TIFF or AVIF";
  expect(await of(svg)).toBe(`Cannot read the image x: it is an SVG or another XML file${needed}`);
  expect(await of(`  \n<?xml version="1.0"?>${svg}`)).toContain("an SVG");
  expect(await of(`\xef\xbb\xbf${svg}`)).toContain("no image that is known");
  expect(await of("%PDF-1.7\n")).toContain("a PDF");
  expect(await of("BM0000")).toContain("a BMP");
  expect(await of("<!DOCTYPE html><html>")).toContain("a web page");
  expect(await of("version https://git-lfs.github.com/spec/v1\n")).toContain("run git lfs pull");
  expect(await of("")).toContain("it is empty");
  expect(await of("\0\0\0\x18ftypheic\0\0\0\0mif1heic")).toContain("a HEIC");
  // A signature in front of something else decides: the decoder of that format refuses it.
  expect(await of(`GIF89a${svg}`)).toContain("this GIF is damaged or cut off");
  expect(await of(`\xff\xd8\xff${svg}`)).toContain("this JPEG is damaged or cut off");
});

test("bytes, pixels and sides are limited before anything is decoded [V2, V14]", async () => {
  const large = Buffer.alloc(64 * 2 ** 20 + 1);
  large.write("\xff\xd8\xff", "latin1");
  expect(await problemOf(large)).toBe(
    "Cannot read the image x: it has 67108865 bytes, at most 67108864 are read: make it smaller",
  );
  const claims = async (width: number, height: number) => {
    const file = await picture(2, 2).png().toBuffer();
    const head = Buffer.from(file.subarray(0, 33));
    head.writeUInt32BE(width, 16);
    head.writeUInt32BE(height, 20);
    head.writeUInt32BE(crc32(head.subarray(12, 29)), 29);
    return problemOf(Buffer.concat([head, file.subarray(33)]));
  };
  expect(await claims(60_000, 60_000)).toContain("pixels");
  expect(await claims(60_000, 60_000)).toContain("make it smaller");
  expect(await claims(32_769, 1)).toBe(
    "Cannot read the image x: it has 32769 × 1 pixels, at most 32768 a side are decoded: make it smaller",
  );
  const avif = await picture(24, 18).avif({ effort: 0 }).toBuffer();
  avif.writeUInt32BE(2 ** 31 - 5, avif.indexOf("ispe") + 8);
  expect(await problemOf(avif)).toBe(
    "Cannot read the image x: it claims sides of more than 32768 pixels: make it smaller",
  );
  const long = await decode(await picture(30_000, 1).png().toBuffer());
  expect([long.width, long.height]).toEqual([30_000, 1]);
});

test("CMYK is refused by name [V2]", async () => {
  const file = await picture(16, 16).toColourspace("cmyk").jpeg().toBuffer();
  expect(await problemOf(file)).toBe(
    "Cannot read the image x: its colours are CMYK, which mean nothing without their profile: save it as RGB",
  );
});

const missing = absent("data/coco-mini") || absent("data/scienceqa-subset") || absent("data/vit-cifar10");
test.skipIf(missing !== "").each(Object.entries(pillow.sample))(
  `%s: Pillow's bytes [V2]${missing}`,
  async (path, sha256) => {
    const { width, height, data } = await decodeImage(readFileSync(sharedPath(`data/${path}`)), path);
    expect(createHash("sha256").update(`${width} ${height} `).update(data).digest("hex")).toBe(sha256);
  },
);
