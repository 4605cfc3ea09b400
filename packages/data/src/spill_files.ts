/** Two files that tokens are written to while records are read: their ids, and their targets. */
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { reason, removeEntry, temporarySibling } from "@zerogate/core/node";
import { bytesOf, type EncodedChunk } from "./token_set.ts";

export interface SpillFiles {
  readonly folder: string;
  /** @throws InputError if there is no room. */
  add(chunk: Pick<EncodedChunk, "ids" | "target">): Promise<void>;
  /** The bytes of all that was added, from the beginning. */
  ids(): AsyncIterable<Uint8Array>;
  target(): AsyncIterable<Uint8Array>;
  remove(): Promise<void>;
}

const READ_BYTES = 2 ** 20;

/** Opens both in a folder, which is made if it is missing. */
export async function openSpillFiles(folder: string): Promise<SpillFiles> {
  await mkdir(folder, { recursive: true });
  const paths = [temporarySibling(join(folder, "ids")), temporarySibling(join(folder, "targets"))] as const;
  const handles: FileHandle[] = [];
  const remove = async (): Promise<void> => {
    for (const handle of handles.splice(0)) await handle.close();
    for (const path of paths) await removeEntry(path);
  };
  try {
    for (const path of paths) handles.push(await open(path, "wx"));
  } catch (error) {
    await remove();
    throw error;
  }
  const read = (path: string): AsyncIterable<Uint8Array> => createReadStream(path, { highWaterMark: READ_BYTES });
  return {
    folder,
    async add({ ids, target }) {
      try {
        await handles[0]?.appendFile(bytesOf(ids));
        await handles[1]?.appendFile(target);
      } catch (cause) {
        const advice = "free some room, or give another folder (--cache-dir)";
        throw new InputError(`Cannot keep the tokens in ${folder}`, `${reason(cause)}: ${advice}`, { cause });
      }
    },
    ids: () => read(paths[0]),
    target: () => read(paths[1]),
    remove,
  };
}
