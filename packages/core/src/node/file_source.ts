/** A regular file, read by position. */
import { stat } from "node:fs/promises";
import { InputError } from "../errors.ts";
import type { ByteSource } from "../formats/byte_source.ts";
import { kindOfEntry, reason } from "./fs_errors.ts";
import type { FolderFile } from "./model_folder.ts";
import { openRegularFile, readFully } from "./regular_file.ts";

/** A file that the user named: links are followed. Throws an `InputError` if it is no regular file. */
export async function namedFile(path: string): Promise<FolderFile> {
  try {
    const stats = await stat(path);
    if (stats.isFile()) return { path, bytes: stats.size };
    throw new InputError(`Cannot read ${path}`, `it is ${kindOfEntry(stats)}, needed is a regular file`);
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw new InputError(`Cannot read ${path}`, reason(cause), { cause });
  }
}

/** Opens the file for `work` and closes it when that ends, however it ends. */
export async function withFileSource<T>(
  { path, bytes }: FolderFile,
  work: (source: ByteSource) => Promise<T>,
): Promise<T> {
  const handle = await openRegularFile(path);
  try {
    return await work({
      path,
      bytes,
      async read(begin, end) {
        const content = new Uint8Array(end - begin);
        await readFully({ path, handle }, content, begin);
        return content;
      },
    });
  } finally {
    await handle.close();
  }
}
