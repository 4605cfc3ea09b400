/**
 * Several reads at once. What a file cache holds is copied faster than memory that is used for the first time is given, and
 * the system gives it to one thread at a time: Node's four file threads halve the time and more.
 */
import { type PositionReader, readFully } from "./regular_file.ts";

/** Node's own number of file threads. */
const LANES = 4;

/** What is read at once: large enough for full speed, small enough for smooth progress. */
const CHUNK_BYTES = 4 * 2 ** 20;

/** A file that is open for reads by position. */
export interface OpenFile {
  readonly path: string;
  readonly handle: PositionReader;
  /** Its bytes are put together from those of files, so that it cannot be mapped. @default false */
  readonly isMade?: boolean;
}

/** Bytes `begin` to `end` of a file, cut into chunks that come in any order. */
export interface FileRange {
  readonly file: OpenFile;
  readonly begin: number;
  readonly end: number;
  /** Chunks are multiples of this number of bytes; default 1. */
  readonly unit?: number;
  /** Where the bytes `from` … `from + length` of the range go; absent: into memory that is used again and again. */
  readonly place?: (from: number, length: number) => Uint8Array;
  /** Receives each chunk as soon as it is there; `bytes` must not be kept longer than it takes. */
  readonly onChunk?: (bytes: Uint8Array, from: number) => void | Promise<void>;
}

/** Reads all ranges. Throws an `InputError` if a file ends early; no read is under way then. */
export async function readRanges(ranges: readonly FileRange[], onDone: (bytes: number) => void): Promise<void> {
  const chunks = chunksOf(ranges);
  const state = { hasFailed: false };
  async function lane(): Promise<void> {
    let scratch = new Uint8Array(0);
    const room = (length: number) => {
      if (scratch.length < length) scratch = new Uint8Array(Math.max(length, CHUNK_BYTES));
      return scratch.subarray(0, length);
    };
    for (let next = chunks.next(); !next.done && !state.hasFailed; next = chunks.next()) {
      const { range, from, length } = next.value;
      const bytes = range.place?.(from, length) ?? room(length);
      await readFully(range.file, bytes, range.begin + from);
      await range.onChunk?.(bytes, from);
      onDone(length);
    }
  }
  const guarded = async () => {
    try {
      await lane();
    } catch (error) {
      state.hasFailed = true;
      throw error;
    }
  };
  const results = await Promise.allSettled(Array.from({ length: LANES }, guarded));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

function* chunksOf(ranges: readonly FileRange[]): Generator<{ range: FileRange; from: number; length: number }> {
  for (const range of ranges) {
    const bytes = range.end - range.begin;
    const { unit = 1 } = range;
    const step = unit * Math.max(1, Math.floor(CHUNK_BYTES / unit));
    for (let from = 0; from < bytes; from += step) {
      yield { range, from, length: Math.min(step, bytes - from) };
    }
  }
}
