/**
 * From a decoded image to the numbers that a tower takes, as a `preprocessor_config.json` says: resize (Pillow's), centre crop,
 * scale, normalise.
 *
 *   v[c, y, x] = (byte / 255 − mean[c]) / std[c]        in float32, channel first
 */
import { checkImage, type ImageSize, type RgbImage } from "./image.ts";
import { type ResizeFilter, resizeImage } from "./resize.ts";

/** A number for red, green and blue. */
export type PerChannel = readonly [red: number, green: number, blue: number];

/** How images become numbers. `parsePreprocessor` reads it. */
export interface PreprocessSettings {
  /** The short side's length, or both; undefined: images keep their size. */
  readonly resize: { readonly shortestEdge: number } | ImageSize | undefined;
  readonly filter: ResizeFilter;
  /** Taken from the middle; what an image lacks is black. Undefined: nothing is cut off. */
  readonly crop: ImageSize | undefined;
  /** What bytes are multiplied with. */
  readonly rescale: number;
  /** Undefined: numbers are scaled and no more. */
  readonly normalize: { readonly mean: PerChannel; readonly std: PerChannel } | undefined;
}

/** The size that an image of this size has once it is resized, before the crop. */
export function resizedSize({ width, height }: ImageSize, { resize }: Pick<PreprocessSettings, "resize">): ImageSize {
  if (resize === undefined) return { width, height };
  if (!("shortestEdge" in resize)) return resize;
  const { shortestEdge: short } = resize;
  // trunc(short · long / short side), as Python has it.
  return width <= height
    ? { width: short, height: Math.trunc((short * height) / width) }
    : { width: Math.trunc((short * width) / height), height: short };
}

/** The size of what a tower gets from an image of this size. */
export function preprocessedSize(size: ImageSize, settings: PreprocessSettings): ImageSize {
  return settings.crop ?? resizedSize(size, settings);
}

/**
 * Resizes and crops: the bytes that Pillow makes.
 *
 * @returns an image of `preprocessedSize`.
 */
export function resizeAndCrop(image: RgbImage, settings: PreprocessSettings): RgbImage {
  checkImage(image);
  const size = resizedSize(image, settings);
  const crop = settings.crop ?? size;
  const left = Math.trunc((size.width - crop.width) / 2);
  const top = Math.trunc((size.height - crop.height) / 2);
  const width = Math.min(crop.width, size.width);
  const height = Math.min(crop.height, size.height);
  const window = { left: Math.max(0, left), top: Math.max(0, top), width, height };
  const part = resizeImage(image, size, settings.filter, window);
  if (width === crop.width && height === crop.height) return part;
  const data = new Uint8Array(3 * crop.width * crop.height);
  for (let y = 0; y < height; y++) {
    const row = part.data.subarray(3 * y * width, 3 * (y + 1) * width);
    data.set(row, 3 * ((y + Math.max(0, -top)) * crop.width + Math.max(0, -left)));
  }
  return { ...crop, data };
}

/**
 * The numbers of an image for a tower, `[3, height, width]` of `preprocessedSize`: red, green, blue.
 *
 * @param channelOrder `bgr` puts blue where red is, before anything is normalised: so were some towers fed in training.
 * @example
 * const pixels = preprocessImage(photo, settings); // [3, 224, 224]
 */
export function preprocessImage(
  image: RgbImage,
  settings: PreprocessSettings,
  channelOrder: "rgb" | "bgr" = "rgb",
): Float32Array {
  const { width, height, data } = resizeAndCrop(image, settings);
  const area = width * height;
  const pixels = new Float32Array(3 * area);
  for (let channel = 0; channel < 3; channel++) {
    const values = valuesOfBytes(settings, channel);
    const from = channelOrder === "rgb" ? channel : 2 - channel;
    for (let i = 0, at = channel * area; i < area; i++, at++) pixels[at] = values[data[3 * i + from]];
  }
  return pixels;
}

/** What each byte of a channel becomes; every step rounds to float32, as torch's do. */
function valuesOfBytes({ rescale, normalize }: PreprocessSettings, channel: number): Float32Array {
  const { fround } = Math;
  const mean = fround(normalize?.mean[channel] ?? 0);
  const std = fround(normalize?.std[channel] ?? 1);
  return Float32Array.from({ length: 256 }, (_, byte) => fround(fround(fround(byte * rescale) - mean) / std));
}
