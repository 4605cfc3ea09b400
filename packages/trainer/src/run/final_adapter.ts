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

/** Writes the adapter and returns its folder. Another one in its place is kept in `RUN/rewound/N`, which `onOther` is told. */
export async function saveFinalAdapter(
  runDir: string,
  adapter: SavedAdapter,
  onOther: (sentence: string) => void,
): Promise<string> {
  const folder = join(runDir, "adapter");
  const files = adapterFiles(adapter);
  if (await holds(folder, files)) return folder;
  const temporary = temporarySibling(folder);
  try {
    await makeFolder(temporary);
    for (const [name, bytes] of files) await writeNewFile(join(temporary, name), bytes);
    await syncFolder(temporary);
    if (existsSync(folder)) {
      const kept = join(await newRewoundFolder(runDir), "adapter");
      await moveEntry(folder, kept);
      onOther(`${folder} was not that of the last step. It is kept as ${kept}`);
    }
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
