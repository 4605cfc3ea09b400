/** Opens files that are files: a pipe, a device or a folder in their place is named, and nothing waits for one. */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { InputError } from "../errors.ts";
import { kindOfEntry, reason } from "./fs_errors.ts";

/** Opens a regular file to read. The caller closes it. Throws an `InputError` where it is none or cannot be opened. */
export async function openRegularFile(path: string): Promise<FileHandle> {
  let file: FileHandle;
  try {
    // Opening a pipe waits for its other end without O_NONBLOCK; a path may have become one since it was looked at.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw new InputError(`Cannot read ${path}`, reason(cause), { cause });
  }
  const stats = await file.stat();
  if (stats.isFile()) return file;
  await file.close();
  throw new InputError(`Cannot read ${path}`, `it is ${kindOfEntry(stats)}, needed is a regular file`);
}

/** Fills `into`, which may lie over shared memory, from byte `position` on. Throws an `InputError` where the file ends early. */
export async function readFully(
  file: { readonly path: string; readonly handle: FileHandle },
  into: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0;
  while (done < into.byteLength) {
    // One read call returns less than 2 GiB, whatever was asked for.
    const length = Math.min(into.byteLength - done, 1 << 30);
    const { bytesRead } = await file.handle.read(into, done, length, position + done);
    if (bytesRead === 0) {
      throw new InputError(`Cannot read ${file.path}`, `it ends at byte ${position + done}, it was longer when opened`);
    }
    done += bytesRead;
  }
}
