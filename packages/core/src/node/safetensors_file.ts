/** A safetensors file on disk: its checked header, and reads by position straight into the caller's memory. */
import { type FileHandle, open } from "node:fs/promises";
import { InputError } from "../errors.ts";
import { parseSafetensorsHeader, type SafetensorsHeader, safetensorsHeaderEnd } from "../formats/safetensors.ts";
import { reason } from "./fs_errors.ts";
import type { FolderFile } from "./model_folder.ts";

/** An open file; the caller closes `handle`. */
export interface SafetensorsFile extends SafetensorsHeader {
  readonly path: string;
  readonly handle: FileHandle;
}

/** Opens the file and checks its header. Throws an `InputError` where it is damaged or cannot be opened. */
export async function openSafetensors({ path, bytes }: FolderFile): Promise<SafetensorsFile> {
  let handle: FileHandle;
  try {
    handle = await open(path);
  } catch (cause) {
    throw new InputError(`Cannot read ${path}`, reason(cause), { cause });
  }
  try {
    const prefix = new Uint8Array(Math.min(8, bytes));
    await readFully({ path, handle }, prefix, 0);
    const head = new Uint8Array(safetensorsHeaderEnd(prefix, bytes, path));
    await readFully({ path, handle }, head, 0);
    return { path, handle, ...parseSafetensorsHeader(head, bytes, path) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Fills `into`, which may lie over shared memory, from byte `position` on. Throws an `InputError` where the file ends early. */
export async function readFully(
  file: Pick<SafetensorsFile, "path" | "handle">,
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
