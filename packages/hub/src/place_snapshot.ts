/**
 * Snapshots as Python's `huggingface_hub` makes them: `snapshots/COMMIT/FILE` is a relative link to `blobs/HASH`, or the file itself
 * where links are impossible; `refs/REVISION` holds the commit.
 */
import { copyFile, mkdir, readFile, rename, stat, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { isCode, temporarySibling, writeFileAtomic } from "@zerogate/core/node";
import type { RepoFile } from "./list_repo.ts";
import { commitPattern } from "./repo_name.ts";

/** What systems, file systems and permissions answer if there can be no link. */
const noLinks = ["EPERM", "EACCES", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EINVAL", "UNKNOWN"];

/** The standard's text: backups leave such a folder out. */
const CACHE_TAG =
  "Signature: 8a477f597d28d172789f06886806bc55\n# This file marks a cache: its content can be fetched again.\n";

/** Returns the path of a file in a snapshot. */
export function snapshotPath(repo: string, commit: string, path: string): string {
  return join(repo, "snapshots", commit, ...path.split("/"));
}

/** Whether a snapshot has a file of this size, as a link or itself. */
export async function isPlaced(repo: string, commit: string, { path, bytes }: RepoFile): Promise<boolean> {
  return (await sizeOf(snapshotPath(repo, commit, path))) === bytes;
}

/** Returns the size of a file, links followed; undefined if there is none. */
export async function sizeOf(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true ? found.size : undefined;
}

/**
 * Places the files of a commit, all of whose blobs are there, and lets the revision mean it.
 * @param fresh hashes of the blobs that were fetched just now: where there are no links they move, others are copied.
 */
export async function placeSnapshot(
  cache: string,
  repo: string,
  snapshot: { readonly commit: string; readonly revision: string; readonly files: readonly RepoFile[] },
  { fresh, withLinks }: { readonly fresh: ReadonlySet<string>; readonly withLinks: boolean },
): Promise<void> {
  const { commit, revision, files } = snapshot;
  const moved = new Map<string, string>();
  for (const file of files) {
    if (await isPlaced(repo, commit, file)) continue;
    const [blob, pointer] = [join(repo, "blobs", file.hash), snapshotPath(repo, commit, file.path)];
    await mkdir(dirname(pointer), { recursive: true });
    if (withLinks && (await linkTo(blob, pointer))) continue;
    const other = moved.get(file.hash);
    if (other !== undefined || !fresh.has(file.hash)) await copy(other ?? blob, pointer);
    else {
      await rename(blob, pointer);
      moved.set(file.hash, pointer);
    }
  }
  await writeRef(repo, revision, commit);
  await writeFileAtomic(join(cache, "CACHEDIR.TAG"), CACHE_TAG).catch(() => {});
}

/** Replaces whatever has the name in one step. Returns whether there can be links. */
async function linkTo(blob: string, pointer: string): Promise<boolean> {
  const link = temporarySibling(pointer);
  try {
    await symlink(relative(dirname(pointer), blob), link);
  } catch (error) {
    if (noLinks.some((code) => isCode(error, code))) return false;
    throw error;
  }
  await rename(link, pointer);
  return true;
}

async function copy(from: string, to: string): Promise<void> {
  const whole = temporarySibling(to);
  await copyFile(from, whole);
  await rename(whole, to);
}

/** A commit needs none. */
async function writeRef(repo: string, revision: string, commit: string): Promise<void> {
  if (commitPattern.test(revision)) return;
  const path = join(repo, "refs", ...revision.split("/"));
  const before = await readFile(path, "utf8").catch(() => undefined);
  if (before === commit) return;
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, commit);
}
