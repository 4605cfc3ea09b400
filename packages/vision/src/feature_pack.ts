/**
 * Features of the images of one data set on disk, under the hash of everything that they depend on; nothing in it goes stale.
 *
 *   rows (f32)        the body of a sealed file, "ZGFEATS1"
 *
 * A file that is damaged, short or for something else is as good as none: features are computed again.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { isCode, readSealedFile, type SealedKind, writeSealedFile } from "@zerogate/core/node";
import type { FeatureNorm } from "@zerogate/core/vision";
import * as z from "zod";

/** Part of every key: raise it when the format of the file or the way to a feature changes. */
const FORMAT_VERSION = 1;

/** Stands for the image of zeros among the hashes of files; it comes last. */
export const ZERO_IMAGE: string = "0".repeat(64);

/** What features depend on. Paths do not belong to it: the same bytes in another place have the same features. */
export interface FeatureInput {
  /** SHA-256 of each image file, ascending, each once. */
  readonly images: readonly string[];
  /** `LoadedTower.hash`: weights, config and preprocessor. */
  readonly towerHash: string;
  readonly features: readonly string[];
  readonly featureNorm: FeatureNorm;
  readonly channelOrder: "rgb" | "bgr";
  readonly exif: "apply" | "ignore";
  /** Processors and engines differ in the last bits. */
  readonly engineName: string;
}

/** Features of images by their SHA-256. */
export interface FeaturePack {
  /** Of one image. */
  readonly shape: readonly number[];
  /** The image of each row. */
  readonly images: readonly string[];
  /** Images that cannot be decoded, with the reason. */
  readonly bad: readonly (readonly [sha256: string, reason: string])[];
  /** Over shared memory, so that all workers see one copy. */
  readonly values: Float32Array;
}

/** SHA-256 over all of it, hexadecimal. */
export function featureKey(input: FeatureInput): string {
  const { images, towerHash, features, featureNorm, channelOrder, exif, engineName } = input;
  const parts = [FORMAT_VERSION, images, towerHash, features, featureNorm, channelOrder, exif, engineName];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/** Names the numbers of a pack: SHA-256 of its rows and of whose they are. */
export function packHash({ shape, images, values }: FeaturePack): string {
  return createHash("sha256")
    .update(JSON.stringify([shape, images]))
    .update(bytesOf(values))
    .digest("hex");
}

/** Memory for the features of this many images, which threads share. */
export function allocateFeatures(images: number, shape: readonly number[]): Float32Array {
  return new Float32Array(new SharedArrayBuffer(4 * shape.reduce((a, b) => a * b, images)));
}

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const headerSchema = z.strictObject({
  key: digest,
  shape: z.array(z.int().min(1)).min(1).max(2),
  images: z.array(digest),
  bad: z.array(z.tuple([digest, z.string().max(10_000)])),
});

const kind: SealedKind<z.infer<typeof headerSchema>> = {
  magic: "ZGFEATS1",
  name: "a pack of features",
  maxHeaderBytes: 400_000_000, // five million images, 64 digits each
  parseHeader: (json) => headerSchema.parse(json),
};

/** Puts a pack into the cache in one step: readers see the whole file or none. */
export async function writeFeaturePack(cacheDir: string, key: string, pack: FeaturePack): Promise<void> {
  const { shape, images, bad, values } = pack;
  await writeSealedFile(packPath(cacheDir, key), kind, { key, shape, images, bad }, [bytesOf(values)]);
}

/** The pack under this key, or undefined if there is none. @throws Error if the file is damaged, saying how. */
export async function readFeaturePack(cacheDir: string, wanted: string): Promise<FeaturePack | undefined> {
  try {
    return await readSealedFile(packPath(cacheDir, wanted), kind, async ({ header, bodyBytes, fill, fail }) => {
      const { key, shape, images, bad } = header;
      // Nothing is allocated on the header's word alone: the sizes have to add up to the file's.
      const own = 4 * shape.reduce((a, b) => a * b, images.length);
      if (key !== wanted || own !== bodyBytes) throw fail("its header and its size differ");
      const values = allocateFeatures(images.length, shape);
      await fill(bytesOf(values));
      return { shape, images, bad, values };
    });
  } catch (error) {
    if (isCode((error as Error).cause, "ENOENT")) return undefined;
    throw error;
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength);
const packPath = (cacheDir: string, key: string): string => join(cacheDir, `features-${key}.pack`);
