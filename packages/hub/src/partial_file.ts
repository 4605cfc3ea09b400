/** A file that is being downloaded: what is there of it is hashed once, and what comes is hashed as it is written. */
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";

/** Read at a time when an earlier part is hashed. */
const BUFFER_BYTES = 1 << 20;

/** Its content so far, and the hash of it. */
export interface PartialFile {
  readonly bytes: number;
  append(chunk: Uint8Array): Promise<void>;
  /** Begins anew. */
  restart(): Promise<void>;
  /** Returns the hash of all that is there, hexadecimal. */
  digest(): string;
  /** Flushes to the disk. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens what an earlier attempt left, or a new file.
 * @param begin makes the hash: SHA-256, or Git's.
 */
export async function openPartialFile(path: string, begin: () => Hash): Promise<PartialFile> {
  const handle = await open(path, "a+");
  try {
    let hash = begin();
    let bytes = await hashWhole(handle, hash);
    return {
      get bytes() {
        return bytes;
      },
      async append(chunk) {
        await handle.appendFile(chunk);
        hash.update(chunk);
        bytes += chunk.length;
      },
      async restart() {
        await handle.truncate(0);
        hash = begin();
        bytes = 0;
      },
      digest: () => hash.copy().digest("hex"),
      sync: () => handle.sync(),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function hashWhole(handle: FileHandle, hash: Hash): Promise<number> {
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (let bytes = 0; ; ) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, bytes);
    if (bytesRead === 0) return bytes;
    hash.update(buffer.subarray(0, bytesRead));
    bytes += bytesRead;
  }
}

/** The hash of a file of this size that has such a name: SHA-256 has 64 digits, Git's SHA-1 is over a header and the content. */
export function hashFor({ hash, bytes }: { readonly hash: string; readonly bytes: number }): Hash {
  return hash.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${bytes}\0`);
}
