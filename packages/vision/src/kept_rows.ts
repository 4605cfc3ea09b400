/**
 * Rows of numbers that are made once of what an image is, and kept on disk under a hash of all that they depend on.
 *
 *   rows (f32)        the body of a sealed file, "ZGKROWS1"
 *
 * A file that is damaged, short or of other rows is as good as none: they are made again.
 */
import { join } from "node:path";
import { isCode, readSealedFile, type SealedKind, writeSealedFile } from "@zerogate/core/node";
import * as z from "zod";
import { allocateFeatures } from "./feature_pack.ts";

/** Which rows, and how they are made. */
export interface KeptRowsOptions {
  /** SHA-256 of all that the numbers depend on, hexadecimal. */
  readonly key: string;
  readonly count: number;
  /** Numbers of a row. */
  readonly size: number;
  /** Makes row i. */
  readonly make: (row: number) => Float32Array | Promise<Float32Array>;
  /** Where rows are kept. Absent: nowhere. */
  readonly cacheDir?: string | undefined;
  /** Receives what is made again. */
  readonly onWarning: (message: string) => void;
}

const kind: SealedKind<{ key: string; count: number; size: number }> = {
  magic: "ZGKROWS1",
  name: "a pack of rows",
  maxHeaderBytes: 1000,
  parseHeader: (json) => z.strictObject({ key: z.string(), count: z.int().min(0), size: z.int().min(1) }).parse(json),
};

/** Makes the rows, or takes them from the cache; the numbers lie over a SharedArrayBuffer. */
export async function keptRows(options: KeptRowsOptions): Promise<Float32Array> {
  const { key, count, size, make, cacheDir, onWarning } = options;
  const path = cacheDir === undefined ? undefined : join(cacheDir, `rows-${key}.pack`);
  const kept = path === undefined ? undefined : await readRows(path, options, onWarning);
  if (kept) return kept;
  const values = allocateFeatures(count, [size]);
  for (let row = 0; row < count; row++) values.set(await make(row), row * size);
  if (path !== undefined) await writeSealedFile(path, kind, { key, count, size }, [bytesOf(values)]);
  return values;
}

/** Undefined if there are none, or none that can be used, which is said. */
async function readRows(
  path: string,
  { key, count, size }: Pick<KeptRowsOptions, "key" | "count" | "size">,
  onWarning: (message: string) => void,
): Promise<Float32Array | undefined> {
  try {
    return await readSealedFile(path, kind, async ({ header, bodyBytes, fill, fail }) => {
      const isSame = header.key === key && header.count === count && header.size === size;
      if (!isSame || bodyBytes !== 4 * count * size) throw fail("its header and its size differ");
      const values = allocateFeatures(count, [size]);
      await fill(bytesOf(values));
      return values;
    });
  } catch (error) {
    if (!isCode((error as Error).cause, "ENOENT")) {
      onWarning(`${(error as Error).message}: the rows are made again`);
    }
    return undefined;
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength);
