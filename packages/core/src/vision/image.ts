/** An image in memory, as every decoder of ours gives it and every step before a tower takes it. */

/** Rows from the top, pixels from the left, a byte each for red, green and blue: `data[3 · (y · width + x)]` is a pixel's red. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Sizes in pixels. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** Throws a `RangeError` unless there are pixels, three bytes for each. */
export function checkImage({ width, height, data }: RgbImage): void {
  const isSize = (side: number) => Number.isSafeInteger(side) && side > 0;
  if (!isSize(width) || !isSize(height) || data.length !== 3 * width * height) {
    throw new RangeError(
      `Cannot use an image of ${width} × ${height} pixels: expected ${3 * width * height} bytes for sides above 0, got ${data.length}`,
    );
  }
}
