/** `RUN/adapter`: it appears whole, and one that is there already is replaced whole. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  adapterFiles,
  makeFolder,
  moveEntry,
  removeEntry,
  type SavedAdapter,
  syncFolder,
  temporarySibling,
  writeNewFile,
} from "@zerogate/core/node";
import { newRewoundFolder } from "./go_back.ts";

/** Writes the adapter and returns its folder. Another one in its place is kept in `RUN/rewound/N`. */
export async function saveFinalAdapter(runDir: string, adapter: SavedAdapter): Promise<string> {
  const folder = join(runDir, "adapter");
  const files = adapterFiles(adapter);
  if (await holds(folder, files)) return folder;
  const temporary = temporarySibling(folder);
  try {
    await makeFolder(temporary);
    for (const [name, bytes] of files) await writeNewFile(join(temporary, name), bytes);
    await syncFolder(temporary);
    if (existsSync(folder)) await moveEntry(folder, join(await newRewoundFolder(runDir), "adapter"));
    await moveEntry(temporary, folder);
  } catch (error) {
    await removeEntry(temporary).catch(() => {});
    throw error;
  }
  return folder;
}

async function holds(folder: string, files: ReadonlyMap<string, Uint8Array | string>): Promise<boolean> {
  for (const [name, bytes] of files) {
    const found = await readFile(join(folder, name)).catch(() => undefined);
    if (!found?.equals(Buffer.from(bytes as Uint8Array))) return false;
  }
  return true;
}
