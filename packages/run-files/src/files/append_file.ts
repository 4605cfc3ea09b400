/**
 * A file that grows at its end while a run goes on. What the disk refuses is kept and written later, in order; a piece that
 * was written in part is cut off again, so the file never holds half a line because of a full disk. Each write is handed to
 * the system before the call returns: a killed process loses none.
 */
import { closeSync, constants, fstatSync, ftruncateSync, mkdirSync, openSync, readSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { reason } from "@zerogate/core/node";
import { type Trouble } from "./trouble.ts";

/** What is kept while nothing can be written: hours of lines, and no burden on memory. */
const MAX_KEPT_BYTES = 32 * 2 ** 20;

/** A file that grows; what a disk refuses is kept and tried again. */
export interface AppendFile {
  /** Never throws. */
  write(piece: string | Uint8Array): void;
  /** Tries to write what was kept; false while some of it is left. */
  flush(): boolean;
  /** Tries to write what was kept, and closes the file. */
  close(): void;
}

/** Opens `path` for appending; its first `bytes` bytes stay (all, if not given). Throws if that is impossible from the start. */
export function openAppendFile(path: string, trouble: Trouble, bytes?: number): AppendFile {
  let file: { fd: number; length: number } | undefined = open(path, bytes);
  let lastLength = file.length;
  const kept: Uint8Array[] = [];
  let keptBytes = 0;
  let dropped = 0;

  const keep = (piece: Uint8Array) => {
    kept.push(piece);
    keptBytes += piece.length;
    while (keptBytes > MAX_KEPT_BYTES && kept.length > 1) {
      keptBytes -= kept.shift()?.length ?? 0;
      dropped++;
    }
  };
  const release = () => {
    if (!file) return;
    try {
      closeSync(file.fd);
    } catch {
      // What it holds is on its way or lost with the file.
    }
    file = undefined;
  };
  const writeKept = () => {
    if (file && fstatSync(file.fd).nlink === 0) {
      // Removed under our hands: what it held is still behind the descriptor.
      const content = readAll(file.fd, file.length);
      release();
      lastLength = 0;
      if (content.length > 0) kept.unshift(content);
      keptBytes += content.length;
    }
    file ??= open(path, lastLength);
    for (let piece = kept[0]; piece; piece = kept[0]) {
      try {
        for (let at = 0; at < piece.length; ) at += writeSync(file.fd, piece, at);
      } catch (error) {
        ftruncateSync(file.fd, file.length);
        throw error;
      }
      file.length += piece.length;
      lastLength = file.length;
      kept.shift();
      keptBytes -= piece.length;
    }
  };
  const flush = () => {
    if (kept.length === 0 && !file) return true;
    try {
      writeKept();
    } catch (error) {
      release();
      trouble.failed(reason(error));
      return false;
    }
    trouble.worked(dropped);
    dropped = 0;
    return true;
  };
  return {
    write(piece) {
      keep(typeof piece === "string" ? Buffer.from(piece) : piece);
      flush();
    },
    flush,
    close() {
      flush();
      release();
    },
  };
}

/** As `a+`; a link that somebody put there meanwhile is not followed (Windows has no such flag). */
const APPEND = constants.O_APPEND | constants.O_CREAT | constants.O_RDWR | (constants.O_NOFOLLOW ?? 0);

/** @param keep longer than this means that a piece was written in part. */
function open(path: string, keep: number | undefined): { fd: number; length: number } {
  mkdirSync(dirname(path), { recursive: true });
  const fd = openSync(path, APPEND);
  try {
    const { size } = fstatSync(fd);
    const length = Math.min(size, keep ?? size);
    if (length < size) ftruncateSync(fd, length);
    return { fd, length };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function readAll(fd: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (let count = -1; at < length && count !== 0; at += count) count = readSync(fd, bytes, at, length - at, at);
  return bytes.subarray(0, at);
}
