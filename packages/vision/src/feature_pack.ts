/**
 * Features of the images of one data set on disk, under the hash of everything that they depend on; nothing in it goes stale.
 *
 *   "ZGFEATS1"  u32 header bytes  header JSON, blanks to a multiple of 64 bytes  rows (f32)  SHA-256 of all before
 *
 * Little-endian. A file that is damaged, short or for something else is as good as none: features are computed again.
 */
import { createHash } from "node:crypto";
import { type FileHandle, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseStrictJson } from "@zerogate/core/formats";
import { isCode, openRegularFile, writeFileAtomic } from "@zerogate/core/node";
import type { FeatureNorm } from "@zerogate/core/vision";
import * as z from "zod";

/** Part of every key: raise it when the format of the file or the way to a feature changes. */
const FORMAT_VERSION = 1;
const MAGIC = "ZGFEATS1";
const PREFIX_BYTES = MAGIC.length + 4;
/** Of five million images, 64 digits each. */
const MAX_HEADER_BYTES = 400_000_000;
const HASH_BYTES = 32;

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

/** Puts a pack into the cache in one step: readers see the whole file or none. */
export async function writeFeaturePack(cacheDir: string, key: string, pack: FeaturePack): Promise<void> {
  const { shape, images, bad, values } = pack;
  const text = JSON.stringify({ key, shape, images, bad });
  const length = Math.ceil((PREFIX_BYTES + Buffer.byteLength(text)) / 64) * 64 - PREFIX_BYTES;
  const head = Buffer.alloc(PREFIX_BYTES + length, " ");
  head.write(MAGIC, "latin1");
  head.writeUInt32LE(length, MAGIC.length);
  head.write(text, PREFIX_BYTES);
  const rows = bytesOf(values);
  const hash = createHash("sha256").update(head).update(rows).digest();
  await mkdir(cacheDir, { recursive: true });
  await writeFileAtomic(packPath(cacheDir, key), Buffer.concat([head, rows, hash]));
}

/** The pack under this key, or undefined if there is none. @throws Error if the file is damaged, saying how. */
export async function readFeaturePack(cacheDir: string, key: string): Promise<FeaturePack | undefined> {
  const path = packPath(cacheDir, key);
  let file: FileHandle;
  try {
    file = await openRegularFile(path);
  } catch (error) {
    if (isCode((error as Error).cause, "ENOENT")) return undefined;
    throw error;
  }
  try {
    return await readPack(file, path, key);
  } finally {
    await file.close();
  }
}

async function readPack(file: FileHandle, path: string, wanted: string): Promise<FeaturePack> {
  const fail = (problem: string) => new Error(`Cannot use ${path}: ${problem}`);
  const hash = createHash("sha256");
  let position = 0;
  const fill = async (bytes: Uint8Array, isHashed = true): Promise<void> => {
    for (let got = 0; got < bytes.length; ) {
      const { bytesRead } = await file.read(bytes, got, Math.min(bytes.length - got, 1 << 30), position);
      if (bytesRead === 0) throw fail("the file ends too early");
      got += bytesRead;
      position += bytesRead;
    }
    if (isHashed) hash.update(bytes);
  };
  const { size } = await file.stat();
  const prefix = Buffer.alloc(PREFIX_BYTES);
  await fill(prefix);
  const headerBytes = prefix.readUInt32LE(MAGIC.length);
  if (prefix.toString("latin1", 0, MAGIC.length) !== MAGIC || headerBytes > Math.min(size, MAX_HEADER_BYTES)) {
    throw fail("it is no pack of features");
  }
  const text = Buffer.alloc(headerBytes);
  await fill(text);
  const header = parseHeader(text.toString());
  if (header === undefined) throw fail("its header is not that of a pack of features");
  const { key, shape, images, bad } = header;
  // Nothing is allocated on the header's word alone: the sizes have to add up to the file's.
  const rowBytes = 4 * shape.reduce((a, b) => a * b, images.length);
  if (key !== wanted || PREFIX_BYTES + headerBytes + rowBytes + HASH_BYTES !== size) {
    throw fail("its header and its size differ");
  }
  const values = allocateFeatures(images.length, shape);
  await fill(bytesOf(values));
  const stored = Buffer.alloc(HASH_BYTES);
  await fill(stored, false);
  if (!hash.digest().equals(stored)) throw fail("its contents do not match its SHA-256");
  return { shape, images, bad, values };
}

function parseHeader(text: string): z.infer<typeof headerSchema> | undefined {
  try {
    return headerSchema.parse(parseStrictJson(text));
  } catch {
    return undefined;
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength);
const packPath = (cacheDir: string, key: string): string => join(cacheDir, `features-${key}.pack`);
