/**
 * Pillow's resampling of 8-bit images (`Resample.c` of Pillow 12), bit for bit. Towers were trained on its pixels, and other
 * libraries' differ by up to 86 of 256 levels.
 *
 *   out[x] = clamp((2²¹ + Σ_k w[x, k] · in[lo(x) + k]) >> 22, 0, 255)
 *
 * Columns first, rounded to 8 bits, then rows; a pass that changes no size is left out. Weights are integers: multiples of 2⁻²².
 * An output pixel depends on no other one, so a window of the result costs its own pixels only.
 */
import { checkImage, type ImageSize, type RgbImage } from "./image.ts";

/** Names of Pillow's filters; it numbers them 3 and 2. */
export type ResizeFilter = "bicubic" | "bilinear";

/** A part of an image: its first column and row, and how many there are. */
export interface ImageWindow extends ImageSize {
  readonly left: number;
  readonly top: number;
}

const PRECISION = 22;
const HALF = 1 << (PRECISION - 1);

/** Half the width of each filter at scale 1, and its value; operations in Pillow's order. */
const filters: Readonly<Record<ResizeFilter, { support: number; value: (t: number) => number }>> = {
  bicubic: {
    support: 2,
    value(signed) {
      const t = Math.abs(signed);
      if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
      return t < 2 ? (((t - 5) * t + 8) * t - 4) * -0.5 : 0;
    },
  },
  bilinear: { support: 1, value: (t) => Math.max(0, 1 - Math.abs(t)) },
};

/** What some output places are made of: place x of `from[x]` on, `counts[x]` of them, weights at `x · stride`. */
interface Taps {
  readonly from: Int32Array;
  readonly counts: Int32Array;
  readonly weights: Int32Array;
  readonly stride: number;
}

/**
 * Resizes an image to `size`, or makes the pixels of `window` of the result.
 *
 * @returns a new image, even if nothing changes.
 * @throws RangeError on sizes below 1 and a window that is not inside of the result.
 * @example
 * const half = resizeImage(photo, { width: photo.width >> 1, height: photo.height >> 1 }, "bicubic");
 */
export function resizeImage(
  image: RgbImage,
  size: ImageSize,
  filter: ResizeFilter,
  window: ImageWindow = { left: 0, top: 0, ...size },
): RgbImage {
  checkImage(image);
  checkWindow(size, window);
  const columns = tapsOf(image.width, size.width, window.left, window.width, filter);
  const rows = tapsOf(image.height, size.height, window.top, window.height, filter);
  const [first, end] = reach(rows);
  // Only the input rows that the second pass asks for.
  const wide = resizeColumns(image, columns, first, end, window.width);
  return { width: window.width, height: window.height, data: resizeRows(wide, rows, first, window) };
}

function checkWindow({ width, height }: ImageSize, { left, top, ...part }: ImageWindow): void {
  const isInside = (at: number, length: number, side: number) =>
    [at, length, side].every(Number.isSafeInteger) && at >= 0 && length >= 1 && at + length <= side;
  if (!isInside(left, part.width, width) || !isInside(top, part.height, height)) {
    throw new RangeError(
      `Cannot resize to ${width} × ${height} pixels: the window ${part.width} × ${part.height} at ${left}, ${top} is not inside`,
    );
  }
}

/** Taps of the places `begin` … `begin + length` of `to`, made of `from` places. */
function tapsOf(from: number, to: number, begin: number, length: number, filter: ResizeFilter): Taps {
  const lows = new Int32Array(length);
  const counts = new Int32Array(length);
  if (from === to) {
    for (let x = 0; x < length; x++) lows[x] = begin + x;
    return { from: lows, counts: counts.fill(1), weights: new Int32Array(length).fill(1 << PRECISION), stride: 1 };
  }
  const { support: half, value } = filters[filter];
  const scale = from / to;
  const filterScale = Math.max(scale, 1);
  const support = half * filterScale;
  const shrink = 1 / filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const weights = new Int32Array(length * stride);
  const w = new Float64Array(stride);
  for (let x = 0; x < length; x++) {
    const center = (begin + x + 0.5) * scale;
    const low = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(from, Math.trunc(center + support + 0.5)) - low;
    let sum = 0;
    for (let k = 0; k < count; k++) sum += w[k] = value((k + low - center + 0.5) * shrink);
    for (let k = 0; k < count; k++) {
      const scaled = (w[k] / sum) * (1 << PRECISION);
      weights[x * stride + k] = Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    lows[x] = low;
    counts[x] = count;
  }
  return { from: lows, counts, weights, stride };
}

/** The input places that these taps read: from the first up to the last one. */
function reach({ from, counts }: Taps): readonly [first: number, end: number] {
  return [from[0], from[from.length - 1] + counts[counts.length - 1]];
}

const clamp = (sum: number) => Math.min(255, Math.max(0, sum >> PRECISION));

/** Rows `first` … `end` of the image, each of `width` pixels. */
function resizeColumns({ width: from, data }: RgbImage, taps: Taps, first: number, end: number, width: number) {
  const out = new Uint8Array(3 * (end - first) * width);
  for (let y = first, at = 0; y < end; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const count = taps.counts[x];
      let [red, green, blue] = [HALF, HALF, HALF];
      let pixel = 3 * (y * from + taps.from[x]);
      for (let k = 0, tap = x * taps.stride; k < count; k++, tap++, pixel += 3) {
        const weight = taps.weights[tap];
        red += weight * data[pixel];
        green += weight * data[pixel + 1];
        blue += weight * data[pixel + 2];
      }
      out[at] = clamp(red);
      out[at + 1] = clamp(green);
      out[at + 2] = clamp(blue);
    }
  }
  return out;
}

/** `data` begins with row `first`. */
function resizeRows(data: Uint8Array, taps: Taps, first: number, { width, height }: ImageSize): Uint8Array {
  const line = 3 * width;
  const out = new Uint8Array(line * height);
  const sums = new Int32Array(line);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let k = 0; k < taps.counts[y]; k++) {
      const weight = taps.weights[y * taps.stride + k];
      const row = (taps.from[y] + k - first) * line;
      for (let i = 0; i < line; i++) sums[i] += weight * data[row + i];
    }
    for (let i = 0; i < line; i++) out[y * line + i] = clamp(sums[i]);
  }
  return out;
}
