/** SHA-256 of files, hexadecimal, without holding a file in memory. */
import { createHash } from "node:crypto";
import { openRegularFile } from "./regular_file.ts";

/** Buffer size for an empty file, or one that does not report its size. */
const MIN_BUFFER_BYTES = 1 << 12;
const MAX_BUFFER_BYTES = 1 << 20;

/**
 * One buffer, no larger than the file: a stream takes a new one for each read, the end of the file included, which was 10 MiB
 * for the small files of a checkpoint, all of it left to the garbage collector.
 */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  const file = await openRegularFile(path);
  try {
    const { size } = await file.stat();
    const buffer = new Uint8Array(Math.min(Math.max(size, MIN_BUFFER_BYTES), MAX_BUFFER_BYTES));
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) return hash.digest("hex");
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}
