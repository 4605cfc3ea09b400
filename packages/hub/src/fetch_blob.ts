/**
 * A file of a repository into the cache's blobs: what an earlier attempt left is gone on with, and only bytes that have the hash of
 * the Hub's listing get the name of a blob.
 */
import { moveEntry, reason, removeEntry } from "@zerogate/core/node";
import { appendRest, isOfDisk, restart, type WantedFile } from "./append_rest.ts";
import type { Hub } from "./hub.ts";
import { HubFailure } from "./hub_failure.ts";
import { hashFor, openPartialFile, type PartialFile } from "./partial_file.ts";
import { openPatience } from "./patience.ts";

/** Fewer bytes are no progress: a server that sends one and breaks off would keep us forever. */
const PROGRESS_BYTES = 64 * 1024;

/** A file at a commit, and where its bytes go. */
export interface WantedBlob extends WantedFile {
  /** Path of the blob. */
  readonly target: string;
}

/** Who listens to a download. */
export interface BlobListener {
  /** Receives how many bytes came, negative if some are fetched anew. */
  readonly onBytes: (bytes: number) => void;
  /** Receives what is done otherwise than hoped for. */
  readonly onNote: (note: string) => void;
  readonly signal: AbortSignal;
}

/** Returns the file in which an interrupted download of a blob is kept. */
export const partialOf = (target: string): string => `${target}.zerogate.incomplete`;

/** @throws InputError for what the Hub refuses, an Error if the bytes do not come or are not those of the listing. */
export async function fetchBlob(hub: Hub, wanted: WantedBlob, listener: BlobListener): Promise<void> {
  const { file, target } = wanted;
  const partial = partialOf(target);
  for (let attempts = 1; ; attempts++) {
    const opened = await openPartialFile(partial, () => hashFor(file));
    let isRight = false;
    try {
      listener.onBytes(opened.bytes);
      await fill(hub, wanted, opened, listener);
      isRight = opened.digest() === file.hash;
      if (isRight) await opened.sync();
    } finally {
      await opened.close();
    }
    if (isRight) return await moveEntry(partial, target);
    listener.onBytes(-file.bytes);
    await removeEntry(partial);
    const problem = `${file.path} came without the hash ${file.hash} that it has on the Hub`;
    // What an earlier attempt left may be the fault, or a proxy's moment of weakness.
    if (attempts === 2) throw new Error(`Cannot download ${wanted.name.id}: ${problem}, twice: try again later`);
    listener.onNote(`${problem}: it is fetched once more, from its first byte`);
  }
}

/** Appends until the file is whole, however often the connection ends. */
async function fill(hub: Hub, wanted: WantedBlob, partial: PartialFile, listener: BlobListener): Promise<void> {
  const { file, name } = wanted;
  const { signal } = listener;
  const attempt = `Cannot download ${file.path} of ${name.id}`;
  const patience = openPatience(hub, attempt, signal);
  const served = { etag: file.hash.length === 40 ? `"${file.hash}"` : undefined };
  if (partial.bytes > file.bytes) await restart(partial, listener);
  while (partial.bytes < file.bytes) {
    const before = partial.bytes;
    try {
      await appendRest(hub, { ...wanted, attempt }, partial, { ...listener, served });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof HubFailure)) {
        throw isOfDisk(error) ? new Error(`${attempt}: ${reason(error)}`, { cause: error }) : error;
      }
      const hasProgress = partial.bytes - before >= PROGRESS_BYTES;
      if (hasProgress) patience.reset();
      if (hasProgress && error.isPassing && error.waitMs === undefined) continue;
      await patience.after(error);
    }
  }
}
