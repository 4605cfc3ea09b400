/**
 * From the bytes of an image file to pixels. The first bytes decide which decoder may see it, its header whether it is small
 * enough, and only then is anything decoded. What comes out is Pillow's `Image.open(f).convert("RGB")`: alpha is dropped, not
 * blended; palettes are expanded; grey is replicated; ICC profiles are ignored; of 16 bits the upper 8 are kept.
 */
import { InputError } from "@zerogate/core";
import type { RgbImage } from "@zerogate/core/vision";
import type { Metadata, SharpOptions } from "sharp";
import { type ImageKind, imageKind } from "./image_kind.ts";
import { firstLine, loadSharp } from "./sharp.ts";

/** The largest file, in bytes. */
export const MAX_IMAGE_BYTES: number = 64 * 2 ** 20;
/** The most pixels of an image, and the longest side. */
const MAX_PIXELS = 100_000_000;
const MAX_SIDE = 32_768;

/** How an image is decoded. */
export interface DecodeOptions {
  /** Whether an image is turned as its EXIF says: CLIP's own code ignores it, transformers' `load_image` does not. @default "apply" */
  readonly exif?: "apply" | "ignore";
  /** Receives what is used otherwise than it may have been meant: frames behind the first one. */
  readonly onWarning?: (message: string) => void;
}

/**
 * Decodes a JPEG, PNG, WebP, GIF, TIFF or AVIF to 8-bit RGB.
 *
 * @param name for messages.
 * @throws InputError on anything else, on more than 64 MiB, 100 million pixels or 32,768 pixels a side, on CMYK, and on images
 * that are damaged or cut off.
 * @example
 * const { width, height, data } = await decodeImage(await readFile("cat.jpg"), "cat.jpg");
 */
export async function decodeImage(
  bytes: Uint8Array,
  name: string,
  { exif = "apply", onWarning = () => {} }: DecodeOptions = {},
): Promise<RgbImage> {
  const refuse = (problem: string, cause?: unknown) =>
    new InputError(`Cannot read the image ${name}`, problem, { cause });
  if (bytes.length > MAX_IMAGE_BYTES) {
    throw refuse(`it has ${bytes.length} bytes, at most ${MAX_IMAGE_BYTES} are read: make it smaller`);
  }
  const found = imageKind(bytes);
  if (!("kind" in found)) {
    throw refuse(`it is ${found.other}, needed is a JPEG, PNG, WebP, GIF, TIFF or AVIF`);
  }
  const { kind } = found;
  if (kind === "avif" && hasHugeExtent(bytes)) {
    throw refuse(`it claims sides of more than ${MAX_SIDE} pixels: make it smaller`);
  }
  const sharp = await loadSharp();
  const options: SharpOptions = {
    failOn: "error",
    limitInputPixels: MAX_PIXELS,
    sequentialRead: true,
    pages: 1,
    ignoreIcc: true,
  };
  const damaged = (cause: unknown) =>
    refuse(`this ${kind.toUpperCase()} is damaged or cut off (${firstLine(cause)}): fetch or save it again`, cause);
  let header: Metadata;
  try {
    header = await sharp(bytes, options).metadata();
  } catch (cause) {
    throw isTooLarge(cause) ? refuse(`it has more than ${MAX_PIXELS} pixels: make it smaller`, cause) : damaged(cause);
  }
  const problem = headerProblem(header, kind);
  if (problem !== undefined) throw refuse(problem);
  if ((header.pages ?? 1) > 1) onWarning(`${name} has ${header.pages} frames or pages: the first one is used`);
  const input = sharp(bytes, options);
  if (exif === "apply") input.rotate(); // as EXIF says
  try {
    const { data, info } = await input
      .removeAlpha()
      .toColourspace("srgb")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, data: threeChannels(data, info) };
  } catch (cause) {
    throw damaged(cause);
  }
}

/** The largest header of an AVIF that is looked at. */
const AVIF_HEADER_BYTES = 64 * 2 ** 10;

/** Whether an extent (box `ispe`: version, width, height) is beyond the limit: libvips prints to stderr if it does not fit an int. */
function hasHugeExtent(bytes: Uint8Array): boolean {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, AVIF_HEADER_BYTES));
  for (let at = head.indexOf("ispe"); at >= 0 && at + 16 <= head.length; at = head.indexOf("ispe", at + 4)) {
    if (Math.max(head.readUInt32BE(at + 8), head.readUInt32BE(at + 12)) > MAX_SIDE) return true;
  }
  return false;
}

/** Whether sharp refused the number of pixels. */
function isTooLarge(error: unknown): boolean {
  return error instanceof Error && /exceeds pixel limit/i.test(error.message);
}

function headerProblem({ width, height, format, space }: Metadata, kind: ImageKind): string | undefined {
  const decoder = format === "heif" ? "avif" : format;
  if (decoder !== kind) return `it begins as ${kind.toUpperCase()}, but is ${format}: save it again`;
  if (width * height > MAX_PIXELS) {
    return `it has ${width} × ${height} pixels, at most ${MAX_PIXELS} are decoded: make it smaller`;
  }
  if (Math.max(width, height) > MAX_SIDE) {
    return `it has ${width} × ${height} pixels, at most ${MAX_SIDE} a side are decoded: make it smaller`;
  }
  if (space === "cmyk") return "its colours are CMYK, which mean nothing without their profile: save it as RGB";
  return undefined;
}

/** Grey is replicated. */
function threeChannels(
  data: Uint8Array,
  { width, height, channels }: { width: number; height: number; channels: number },
): Uint8Array {
  const pixels = width * height;
  if (channels === 3 && data.length === 3 * pixels) return new Uint8Array(data.buffer, data.byteOffset, data.length);
  if (channels !== 1 || data.length !== pixels) {
    throw new RangeError(
      `expected 1 or 3 channels of ${width} × ${height} bytes, got ${channels} and ${data.length} bytes`,
    );
  }
  const rgb = new Uint8Array(3 * pixels);
  for (let i = 0; i < rgb.length; i++) rgb[i] = data[Math.floor(i / 3)] ?? 0;
  return rgb;
}
