/** A safetensors file on disk: its checked header, and reads by position straight into the caller's memory. */
import type { FileHandle } from "node:fs/promises";
import { DESCRIBED_BYTES } from "../formats/file_kind.ts";
import { parseSafetensorsHeader, type SafetensorsHeader, safetensorsHeaderEnd } from "../formats/safetensors.ts";
import type { FolderFile } from "./model_folder.ts";
import { openRegularFile, readFully } from "./regular_file.ts";

/** An open file; the caller closes `handle`. */
export interface SafetensorsFile extends SafetensorsHeader {
  readonly path: string;
  readonly handle: FileHandle;
}

/** Opens the file and checks its header. Throws an `InputError` if it is damaged or cannot be opened. */
export async function openSafetensors({ path, bytes }: FolderFile): Promise<SafetensorsFile> {
  const handle = await openRegularFile(path);
  try {
    const prefix = new Uint8Array(Math.min(DESCRIBED_BYTES, bytes));
    await readFully({ path, handle }, prefix, 0);
    const head = new Uint8Array(safetensorsHeaderEnd(prefix, bytes, path));
    await readFully({ path, handle }, head, 0);
    return { path, handle, ...parseSafetensorsHeader(head, bytes, path) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}
