/** Bytes of a file by position: parquet files are read from their end. */
import { openRegularFile } from "@zerogate/core/node";
import type { ByteSource } from "../byte_source.ts";

export interface ByteRanges {
  readonly length: number;
  /** Reads bytes from `begin` up to `end`. @throws Error if the file has fewer. */
  read(begin: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** What is compressed as a whole is unfolded into memory. */
const MAX_UNFOLDED_BYTES = 400_000_000;

export async function openRanges(source: ByteSource): Promise<ByteRanges> {
  if (source.fold !== undefined) return unfoldedRanges(source);
  const file = await openRegularFile(source.path);
  const { size: length } = await file.stat();
  return {
    length,
    close: () => file.close(),
    async read(begin, end) {
      checkRange(begin, end, length);
      const bytes = new Uint8Array(end - begin);
      for (let done = 0; done < bytes.length; ) {
        const { bytesRead } = await file.read(bytes, done, bytes.length - done, begin + done);
        if (bytesRead === 0) throw new Error("it became shorter while it was read");
        done += bytesRead;
      }
      return bytes;
    },
  };
}

async function unfoldedRanges(source: ByteSource): Promise<ByteRanges> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of source.read()) {
    length += piece.length;
    if (length > MAX_UNFOLDED_BYTES)
      throw new Error(`it unfolds to a parquet file of more than ${MAX_UNFOLDED_BYTES} bytes: unpack it first`);
    pieces.push(piece);
  }
  const all = Uint8Array.from(Buffer.concat(pieces));
  return {
    length,
    close: async () => {},
    async read(begin, end) {
      checkRange(begin, end, length);
      return all.slice(begin, end);
    },
  };
}

function checkRange(begin: number, end: number, length: number): void {
  if (begin >= 0 && begin <= end && end <= length) return;
  throw new Error(`bytes ${begin} to ${end} are named, the file has ${length}: it was cut off, copy it again`);
}
