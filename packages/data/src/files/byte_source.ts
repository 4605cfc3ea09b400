/** The bytes of a data file from its beginning, unfolded if it is compressed, as often as they are needed. */
import { createHash } from "node:crypto";
import { readSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { openRegularFile } from "@zerogate/core/node";
import { type DataFile, hashDataFile } from "../data_files.ts";
import { type Fold, foldOf, limited } from "./fold/fold.ts";
import { gunzip } from "./fold/gzip.ts";

/** A data file that can be read from its beginning. */
export interface ByteSource {
  readonly path: string;
  /** Its first bytes, unfolded: 4096, or all. */
  readonly head: Buffer;
  /** Bytes of all of it, unfolded; undefined if it is compressed and longer than its head. */
  readonly bytes: number | undefined;
  readonly fold: Fold | undefined;
  read(): AsyncIterable<Buffer>;
  /** How much of the file as it lies the newest reading has read, from 0 to 1. */
  share(): number;
  /** Identifies the file as it lies; what was read to its end is not read again. */
  identify(): Promise<DataFile>;
}

const HEAD_BYTES = 4096;
const PIECE_BYTES = 65_536;

/** Opens a data file. @throws InputError if it cannot be read, an Error if it is compressed and damaged. */
export async function openByteSource(path: string): Promise<ByteSource> {
  const { head: first, size } = await headOf(path);
  const fold = foldOf(first);
  let identity: DataFile | undefined;
  let done = 0;
  const onBytes = (bytes: number) => {
    done = bytes;
  };
  const read = () => readFolded({ path, fold, size }, onBytes, (found) => (identity = found));
  const head = fold === undefined ? first : await firstOf(read());
  const bytes = fold === undefined ? size : head.length < HEAD_BYTES ? head.length : undefined;
  const share = () => (size === 0 ? 1 : Math.min(1, done / size));
  return { path, head, bytes, fold, read, share, identify: async () => identity ?? (await hashDataFile(path)) };
}

/** Reads a file to its end, unfolded; `onBytes` gets how many of its own bytes were read, `onEnd` what it was. */
async function* readFolded(
  { path, fold, size }: { readonly path: string; readonly fold: Fold | undefined; readonly size: number },
  onBytes: (bytes: number) => void,
  onEnd: (file: DataFile) => void,
): AsyncGenerator<Buffer> {
  const hash = createHash("sha256");
  let bytes = 0;
  const tap = (piece: Buffer): void => {
    hash.update(piece);
    bytes += piece.length;
    onBytes(bytes);
  };
  const file = await openRegularFile(path);
  try {
    if (fold === "zstd") {
      const { unzstd } = await import("./fold/zstd.ts");
      yield* limited(unzstd(piecesNow(file.fd, tap)), fold, size);
    } else if (fold === "gzip") yield* limited(gunzip(pieces(file, tap)), fold, size);
    else yield* pieces(file, tap);
    onEnd({ path, bytes, sha256: hash.digest("hex") });
  } finally {
    await file.close();
  }
}

async function* pieces(file: FileHandle, tap: (piece: Buffer) => void): AsyncGenerator<Buffer> {
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(PIECE_BYTES), 0, PIECE_BYTES);
    if (bytesRead === 0) return;
    const piece = buffer.subarray(0, bytesRead);
    tap(piece);
    yield piece;
  }
}

/** The same for a decoder that cannot wait. */
function* piecesNow(fd: number, tap: (piece: Buffer) => void): Generator<Buffer> {
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  for (;;) {
    const bytesRead = readSync(fd, buffer, 0, PIECE_BYTES, null);
    if (bytesRead === 0) return;
    const piece = buffer.subarray(0, bytesRead);
    tap(piece);
    yield piece;
  }
}

async function headOf(path: string): Promise<{ readonly head: Buffer; readonly size: number }> {
  const file = await openRegularFile(path);
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return { head: buffer.subarray(0, bytesRead), size: (await file.stat()).size };
  } finally {
    await file.close();
  }
}

async function firstOf(unfolded: AsyncIterable<Buffer>): Promise<Buffer> {
  const first: Buffer[] = [];
  let bytes = 0;
  for await (const piece of unfolded) {
    first.push(piece);
    bytes += piece.length;
    if (bytes >= HEAD_BYTES) break;
  }
  return Buffer.concat(first).subarray(0, HEAD_BYTES);
}
