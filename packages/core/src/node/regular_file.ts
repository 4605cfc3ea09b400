/** Opens files that are files: a pipe, a device or a folder in their place is named, and nothing waits for one. */
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { InputError } from "../errors.ts";
import { kindOfEntry, reason } from "./fs_errors.ts";

/** Opening a pipe waits for its other end without O_NONBLOCK; a path may have become one since it was looked at. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/** Says what a path holds that is no regular file, and what to do; undefined if it is one. */
export function notRegular(stats: Stats): string | undefined {
  if (stats.isFile()) return undefined;
  const way = stats.isFIFO() ? ": save what comes out of it to a file first" : "";
  return `it is ${kindOfEntry(stats)}, needed is a regular file${way}`;
}

/** Opens a regular file to read. The caller closes it. Throws an `InputError` if it is none or cannot be opened. */
export async function openRegularFile(path: string): Promise<FileHandle> {
  let file: FileHandle;
  try {
    file = await open(path, FLAGS);
  } catch (cause) {
    throw new InputError(`Cannot read ${path}`, reason(cause), { cause });
  }
  const problem = notRegular(await file.stat());
  if (problem === undefined) return file;
  await file.close();
  throw new InputError(`Cannot read ${path}`, problem);
}

/** Reads a regular file. Throws an `InputError` if it is none, cannot be read or is longer than `maxBytes`. */
export async function readRegularFile(path: string, maxBytes: number = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const file = await openRegularFile(path);
  try {
    checkSize(path, await file.stat(), maxBytes);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** Opens a regular file as `openRegularFile` does, at once. The caller closes it. */
export function openRegularFileSync(path: string): number {
  let fd: number;
  try {
    fd = openSync(path, FLAGS);
  } catch (cause) {
    throw new InputError(`Cannot read ${path}`, reason(cause), { cause });
  }
  const problem = notRegular(fstatSync(fd));
  if (problem === undefined) return fd;
  closeSync(fd);
  throw new InputError(`Cannot read ${path}`, problem);
}

/** Reads a regular file as `readRegularFile` does, at once. */
export function readRegularFileSync(path: string, maxBytes: number = Number.POSITIVE_INFINITY): Buffer {
  const fd = openRegularFileSync(path);
  try {
    checkSize(path, fstatSync(fd), maxBytes);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

function checkSize(path: string, { size }: Stats, maxBytes: number): void {
  if (size <= maxBytes) return;
  throw new InputError(`Cannot read ${path}`, `it has ${size} bytes, at most ${maxBytes} are allowed`);
}

/** Reads by position: an open file, or what stands for one. */
export interface PositionReader {
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
}

/** Fills `into`, which may lie over shared memory, from byte `position` on. Throws an `InputError` if the file ends early. */
export async function readFully(
  file: { readonly path: string; readonly handle: PositionReader },
  into: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0;
  while (done < into.byteLength) {
    // One read call returns less than 2 GiB, even if more was asked for.
    const length = Math.min(into.byteLength - done, 1 << 30);
    const { bytesRead } = await file.handle.read(into, done, length, position + done);
    if (bytesRead === 0) {
      throw new InputError(`Cannot read ${file.path}`, `it ends at byte ${position + done}, it was longer when opened`);
    }
    done += bytesRead;
  }
}
