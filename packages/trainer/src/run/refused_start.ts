/** A new run that is refused before its first step leaves nothing behind, so that the same command can be typed again. */
import { existsSync } from "node:fs";
import { readdir, rmdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { removeEntry } from "@zerogate/core/node";
import { isLockName, listCheckpoints, loadReceipt, type RunLock } from "@zerogate/run-files";

/** What a run writes before its first step; TensorBoard's file has a name of its own in every process. */
const startFiles = /^(config\.json|log\.jsonl|metrics\.jsonl|receipt\.jsonl|checkpoints|events\.out\.tfevents\..+)$/;

/** Returns the highest folder that making `folder` has to make; undefined if it is there. */
export function firstMissing(folder: string): string | undefined {
  let missing: string | undefined;
  for (let at = resolve(folder); !existsSync(at); at = dirname(at)) missing = at;
  return missing;
}

/**
 * Removes the files of a start, which found the folder empty, while its lock is held. Returns whether they are gone: a run that
 * has done steps stays, and so does what the disk does not let go of, which the next start names.
 */
export async function takeBackStart(out: string, lock: RunLock): Promise<boolean> {
  try {
    await lock.check();
    const hasSteps = (await listCheckpoints(out)).some((step) => step > 0);
    if (hasSteps || loadReceipt(out).lines.some(({ event }) => event !== "start")) return false;
    const names = await readdir(out);
    for (const name of names) if (startFiles.test(name)) await removeEntry(join(out, name));
    return true;
  } catch {
    return false;
  }
}

/**
 * Removes the freed lock, the log, which closing may have written once more, and the folders that were made, if nothing else is
 * in them. Never throws: if something is left, the next start names it.
 * @param made what `firstMissing` said before the start
 */
export async function removeEmptyStart(out: string, made: string | undefined): Promise<void> {
  try {
    const names = await readdir(out);
    if (!names.every((name) => name === "log.jsonl" || (isLockName(name) && name.endsWith(".free")))) return;
    for (const name of names) await removeEntry(join(out, name));
    if (made === undefined) return;
    for (let folder = resolve(out); ; folder = dirname(folder)) {
      await rmdir(folder);
      if (folder === made) return;
    }
  } catch {
    // Something of another process lies in a folder, or the disk refuses.
  }
}
