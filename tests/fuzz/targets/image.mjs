/** What is accepted has pixels of the size that its header claims, the same again, and becomes a tower's square. */
import { deepStrictEqual, strictEqual } from "node:assert";
import { defaultPreprocessor, preprocessImage } from "@zerogate/core/vision";
import { decodeImage } from "@zerogate/vision";
import { pictures } from "../pictures.mjs";

export const corpus = pictures;

const settings = defaultPreprocessor("clip", 16);

export async function check(bytes) {
  const image = await decodeImage(bytes, "x");
  strictEqual(image.data.length, 3 * image.width * image.height);
  const again = await decodeImage(bytes, "x");
  deepStrictEqual([again.width, again.height], [image.width, image.height]);
  strictEqual(Buffer.compare(again.data, image.data), 0);
  const pixels = preprocessImage(image, settings);
  strictEqual(pixels.length, 3 * 16 * 16);
  strictEqual(pixels.every(Number.isFinite), true);
}
