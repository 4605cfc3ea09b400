/** Files of a snapshot as plain files in a folder of the user's choice. */
import { copyFile, constants as flags, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InputError } from "@zerogate/core/light";
import { temporarySibling } from "@zerogate/core/node";
import type { RepoFile } from "./list_repo.ts";
import { sizeOf } from "./place_snapshot.ts";

const COMPARED_BYTES = 2 ** 20;

const placeIn = (folder: string, path: string): string => join(folder, ...path.split("/"));

/** @throws InputError if the folder has files of these names and other sizes: nothing of the user's is overwritten. */
export async function checkFolder(folder: string, files: readonly RepoFile[], attempt: string): Promise<void> {
  const problems: string[] = [];
  for (const { path, bytes } of files) {
    const found = await sizeOf(placeIn(folder, path));
    if (found === undefined || found === bytes) continue;
    problems.push(
      `${placeIn(folder, path)} has ${found} bytes, on the Hub ${bytes}: name another folder, or remove it`,
    );
  }
  if (problems.length > 0) throw new InputError(attempt, problems.slice(0, 20));
}

/**
 * Copies files that `from` finds; blocks of the disk are shared where it can do that.
 * @throws InputError for a file of the same name and other bytes.
 */
export async function copyFiles(
  files: readonly RepoFile[],
  from: (file: RepoFile) => string,
  folder: string,
  attempt: string,
): Promise<void> {
  for (const file of files) {
    const [source, target] = [from(file), placeIn(folder, file.path)];
    if ((await sizeOf(target)) !== undefined) {
      if (await isSame(source, target)) continue;
      throw new InputError(attempt, `${target} has other bytes than on the Hub: name another folder, or remove it`);
    }
    await mkdir(dirname(target), { recursive: true });
    const whole = temporarySibling(target);
    try {
      await copyFile(source, whole, flags.COPYFILE_FICLONE);
      await rename(whole, target);
    } catch (error) {
      await rm(whole, { force: true });
      throw error;
    }
  }
}

async function isSame(one: string, other: string): Promise<boolean> {
  if ((await sizeOf(one)) !== (await sizeOf(other))) return false;
  const [a, b] = [await open(one), await open(other)];
  try {
    const [left, right] = [Buffer.alloc(COMPARED_BYTES), Buffer.alloc(COMPARED_BYTES)];
    for (let at = 0; ; ) {
      const [{ bytesRead }, second] = [
        await a.read(left, 0, COMPARED_BYTES, at),
        await b.read(right, 0, COMPARED_BYTES, at),
      ];
      if (bytesRead !== second.bytesRead || !left.subarray(0, bytesRead).equals(right.subarray(0, bytesRead)))
        return false;
      if (bytesRead === 0) return true;
      at += bytesRead;
    }
  } finally {
    await a.close();
    await b.close();
  }
}
