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
  writeFileAtomic,
  writeNewFile,
} from "@zerogate/core/node";
import { newRewoundFolder } from "./go_back.ts";

/** The one file that an adapter of 0.1.0 lacks: it is put beside the others. */
const FORMAT_FILE = "zerogate.json";

/** Writes the adapter and returns its folder. Another one in its place is kept in `RUN/rewound/N`, which `onOther` reports. */
export async function saveFinalAdapter(
  runDir: string,
  adapter: SavedAdapter,
  onOther: (sentence: string) => void,
): Promise<string> {
  const folder = join(runDir, "adapter");
  const files = adapterFiles(adapter);
  const wrong = await otherFiles(folder, files);
  if (wrong.length === 0) return folder;
  if (wrong.every((name) => name === FORMAT_FILE && !existsSync(join(folder, name)))) {
    await writeFileAtomic(join(folder, FORMAT_FILE), files.get(FORMAT_FILE) ?? "");
    return folder;
  }
  const temporary = temporarySibling(folder);
  try {
    await makeFolder(temporary);
    for (const [name, bytes] of files) await writeNewFile(join(temporary, name), bytes);
    await syncFolder(temporary);
    if (existsSync(folder)) {
      const kept = join(await newRewoundFolder(runDir), "adapter");
      await moveEntry(folder, kept);
      onOther(`${folder} was another one. It is kept as ${kept}`);
    }
    await moveEntry(temporary, folder);
  } catch (error) {
    await removeEntry(temporary).catch(() => {});
    throw error;
  }
  return folder;
}

/** Names of files that are missing or hold something else. */
async function otherFiles(folder: string, files: ReadonlyMap<string, Uint8Array | string>): Promise<string[]> {
  const other: string[] = [];
  for (const [name, bytes] of files) {
    const found = await readFile(join(folder, name)).catch(() => undefined);
    if (!found?.equals(Buffer.from(bytes as Uint8Array))) other.push(name);
  }
  return other;
}
