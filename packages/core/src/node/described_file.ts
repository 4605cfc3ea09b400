/** Says what a file on disk is, from its first bytes, if it is not what was needed. */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { DESCRIBED_BYTES, describeFile, type FileDescription } from "../formats/file_kind.ts";
import type { FileKind } from "../formats/file_signatures.ts";

/**
 * Describes the file at `path` as `describeFile` does. Returns undefined also if it cannot be read or is no regular file:
 * call it once reading has failed, to explain why.
 */
export async function describeFileAt(path: string, wanted?: FileKind): Promise<FileDescription | undefined> {
  // Opening a pipe would wait for its other end without O_NONBLOCK.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const stats = await file.stat();
    if (!stats.isFile()) return undefined;
    const { buffer, bytesRead } = await file.read(new Uint8Array(DESCRIBED_BYTES), 0, DESCRIBED_BYTES, 0);
    return describeFile(buffer.subarray(0, bytesRead), stats.size, wanted);
  } catch {
    return undefined;
  } finally {
    await file.close();
  }
}
