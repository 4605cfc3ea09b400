/** Reads an image file: a path of the user's, or one of a stranger's data below a root. */

import { imagePath, readRegularFile } from "@zerogate/core/node";
import type { RgbImage } from "@zerogate/core/vision";
import { type DecodeOptions, decodeImage, MAX_IMAGE_BYTES } from "./decode.ts";

/** How an image file is read. */
export interface ReadImageOptions extends DecodeOptions {
  /** The folder that the path must stay in. Without one the path is trusted: it is what somebody typed. */
  readonly root?: string;
}

/**
 * Reads and decodes an image to 8-bit RGB, `3 · width · height` bytes. Nothing but a regular file is opened.
 *
 * @throws InputError, see `decodeImage`; with a root also if the path leads out of it.
 * @example
 * const pixels = preprocessImage(await readImage("cat.jpg"), preprocess); // [3, 224, 224]
 */
export async function readImage(path: string, { root, ...options }: ReadImageOptions = {}): Promise<RgbImage> {
  const real = root === undefined ? path : await imagePath(root, path);
  return decodeImage(await readRegularFile(real, MAX_IMAGE_BYTES), path, options);
}
