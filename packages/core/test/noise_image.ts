import type { RgbImage } from "../src/vision/image.ts";

/** The bytes of make_pillow_values.py: upper bits of a generator; hard: 0 and 255 only. */
export function noise(width: number, height: number, isHard: boolean): RgbImage {
  let state = width * 65536 + height;
  const data = new Uint8Array(3 * width * height);
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = isHard ? (state >>> 31) * 255 : state >>> 24;
  }
  return { width, height, data };
}
