/** What stands for a file whose bytes are put together from those of others while it is read. */
import type { OpenFile } from "./parallel_read.ts";

/** @param make returns the bytes from `begin` up to `end`, or fewer of them. */
export function madeFile(path: string, make: (begin: number, end: number) => Promise<Uint8Array>): OpenFile {
  return {
    path,
    isMade: true,
    handle: {
      async read(into, offset, length, position) {
        const bytes = await make(position, position + length);
        into.set(bytes, offset);
        return { bytesRead: bytes.length };
      },
    },
  };
}

/** A file that is made at once, and kept until as many bytes of it are read as it has. */
export function wholeFile(path: string, bytes: number, make: () => Promise<Uint8Array>): OpenFile {
  let whole: Promise<Uint8Array> | undefined;
  let left = 0;
  return madeFile(path, async (begin, end) => {
    if (whole === undefined) left = bytes;
    whole ??= make();
    const content = await whole;
    left -= end - begin;
    if (left <= 0) whole = undefined;
    return content.subarray(begin, end);
  });
}
