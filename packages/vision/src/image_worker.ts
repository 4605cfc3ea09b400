/** Worker thread of `openImagePool`: hashes an image file, or decodes and prepares it for a tower. It holds nothing between tasks. */
import { createHash } from "node:crypto";
import { readRegularFile } from "@zerogate/core/node";
import { encodeError } from "@zerogate/core/training";
import { preprocessImage } from "@zerogate/core/vision";
import { decodeImage, MAX_IMAGE_BYTES } from "./decode.ts";
import type { ImageTask, PrepareReply } from "./image_pool.ts";

export async function prepare({ path, name, exif, channelOrder, preprocess }: ImageTask): Promise<PrepareReply> {
  try {
    const bytes = await readRegularFile(path, MAX_IMAGE_BYTES);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    if (!preprocess) return { sha256 };
    const warnings: string[] = [];
    const image = await decodeImage(bytes, name, { exif, onWarning: (message) => warnings.push(message) });
    return { sha256, warnings, pixels: preprocessImage(image, preprocess, channelOrder) };
  } catch (error) {
    return { error: encodeError(error) };
  }
}
