/** A revision of a repository into the cache: files are listed, chosen, fetched four at once, and placed when all are there. */
import { mkdir, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { formatBytes } from "@zerogate/core/formats";
import { InputError } from "@zerogate/core/light";
import { withBlobLock } from "./blob_lock.ts";
import { repoFolder } from "./cache_folders.ts";
import { checkFolder, copyFiles } from "./copy_files.ts";
import { fetchBlob, partialOf } from "./fetch_blob.ts";
import type { Hub } from "./hub.ts";
import { hubCacheFolder, linksDisabled } from "./hub_settings.ts";
import { listRepo, type RepoFile, type RepoListing } from "./list_repo.ts";
import { isPlaced, placeSnapshot, sizeOf, snapshotPath } from "./place_snapshot.ts";
import { type RepoName, writeRepoName } from "./repo_name.ts";
import { type FilePatterns, selectFiles } from "./select_files.ts";

/** Files at once: more do not come faster from the Hub's servers. */
const AT_ONCE = 4;

/** What to fetch, and who listens. */
export interface DownloadOptions extends FilePatterns {
  /** A folder that gets the files too, as plain ones. @default they are in the cache alone */
  readonly to?: string | undefined;
  /** @default never aborted */
  readonly signal?: AbortSignal;
  /** Receives how much of what is needed is here. @default nobody */
  readonly onProgress?: (done: number, total: number) => void;
  /** Receives what is done otherwise than hoped for, and what is waited for. @default nobody */
  readonly onNote?: (note: string) => void;
}

/** A revision in the cache. */
export interface Downloaded {
  /** Of the snapshot, or of `to`; or the folder or file in it that the name has. */
  readonly path: string;
  readonly commit: string;
  /** What is needed of it, and of that what was fetched now. */
  readonly files: readonly RepoFile[];
  readonly fetched: readonly RepoFile[];
  /** What stays on the Hub. */
  readonly leftOut: readonly RepoFile[];
  readonly license: string | undefined;
}

/**
 * Fetches what is needed of a revision. Interrupted, it goes on where it was; a snapshot and its revision appear when all files are
 * there, whole and with the hashes that the Hub lists.
 *
 * @throws InputError for what the Hub refuses, what is not needed, and a disk without room; an Error for what fails.
 */
export async function download(name: RepoName, options: DownloadOptions, hub: Hub): Promise<Downloaded> {
  const attempt = `Cannot download ${writeRepoName(name)}`;
  const { signal = new AbortController().signal, onProgress = () => {}, onNote = () => {}, to } = options;
  const cache = hubCacheFolder(hub.env);
  if (cache === undefined) {
    throw new InputError(attempt, "this user has no home folder to keep it in: name a folder with HF_HUB_CACHE");
  }
  const listing = await listRepo(hub, name, attempt, signal);
  const { files, leftOut } = selectFiles(listing, options, attempt);
  if (to !== undefined) await checkFolder(to, files, attempt);
  const repo = repoFolder(cache, name);
  await mkdir(join(repo, "blobs"), { recursive: true });
  const missing = await missingFiles(repo, listing.commit, files);
  await checkSpace(repo, missing, attempt);

  const total = sum(files);
  let done = total - sum(missing);
  const onBytes = (bytes: number) => {
    done += bytes;
    onProgress(done, total);
  };
  onProgress(done, total);
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const queue = missing.toSorted((a, b) => b.bytes - a.bytes);
  const work = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      await fetchLocked(hub, { cache, repo, listing, file }, { onBytes, onNote, signal: either });
    }
  };
  const workers = Array.from({ length: AT_ONCE }, () =>
    work().catch((error: unknown) => {
      failed.abort(error); // the others are of no use now; what they have is kept
      throw error;
    }),
  );
  const ends = await Promise.allSettled(workers);
  signal.throwIfAborted();
  if (failed.signal.aborted) throw failed.signal.reason;
  for (const end of ends) if (end.status === "rejected") throw end.reason;

  const snapshot = { commit: listing.commit, revision: name.revision, files };
  const fresh = new Set(missing.map(({ hash }) => hash));
  await placeSnapshot(cache, repo, snapshot, { fresh, withLinks: !linksDisabled(hub.env) });
  const placeOf = (file: string) => snapshotPath(repo, listing.commit, file);
  if (to !== undefined) await copyFiles(files, (file) => placeOf(file.path), to, attempt);
  const path = to === undefined ? placeOf(name.path ?? "") : join(to, ...(name.path ?? "").split("/"));
  return { path, commit: listing.commit, files, fetched: missing, leftOut, license: listing.license };
}

const sum = (files: readonly RepoFile[]): number => files.reduce((total, { bytes }) => total + bytes, 0);

const blobOf = (repo: string, { hash }: RepoFile): string => join(repo, "blobs", hash);

/** One of each content. */
async function missingFiles(repo: string, commit: string, files: readonly RepoFile[]): Promise<RepoFile[]> {
  const missing = new Map<string, RepoFile>();
  for (const file of files) {
    const isHere = (await isPlaced(repo, commit, file)) || (await sizeOf(blobOf(repo, file))) === file.bytes;
    if (!isHere) missing.set(file.hash, file);
  }
  return [...missing.values()];
}

/** @throws InputError if what is still to come does not fit on the disk; a disk that does not say is tried. */
async function checkSpace(repo: string, missing: readonly RepoFile[], attempt: string): Promise<void> {
  let needed = 0;
  for (const file of missing)
    needed += file.bytes - Math.min(file.bytes, (await sizeOf(partialOf(blobOf(repo, file)))) ?? 0);
  const disk = await statfs(repo).catch(() => undefined);
  const free = disk === undefined ? Number.POSITIVE_INFINITY : disk.bavail * disk.bsize;
  if (needed <= free) return;
  const found = `${formatBytes(needed)} are to come, ${formatBytes(free)} are free on the disk of ${dirname(repo)}`;
  throw new InputError(attempt, `${found}: make room, or name a folder on another disk with HF_HUB_CACHE`);
}

/** Another process may fetch the same blob, of this or another revision. */
async function fetchLocked(
  hub: Hub,
  wanted: { readonly cache: string; readonly repo: string; readonly listing: RepoListing; readonly file: RepoFile },
  listener: Parameters<typeof fetchBlob>[2],
): Promise<void> {
  const { cache, repo, listing, file } = wanted;
  const { name, commit } = listing;
  const [target, lock] = [
    blobOf(repo, file),
    join(cache, ".locks", repo.slice(cache.length + 1), `${file.hash}.zerogate`),
  ];
  const onWait = (holder: { pid: number; host: string } | undefined) => {
    const who = holder === undefined ? "another process" : `process ${holder.pid} of ${holder.host}`;
    listener.onNote(`${file.path} is being downloaded by ${who}, which is waited for`);
  };
  await withBlobLock(lock, { signal: listener.signal, onWait }, async () => {
    if ((await sizeOf(target)) === file.bytes) listener.onBytes(file.bytes);
    else await fetchBlob(hub, { name, commit, file, target }, listener);
  });
}
