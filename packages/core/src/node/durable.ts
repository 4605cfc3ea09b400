/**
 * The operations by which state reaches the disk for good: everything durable goes through them, so that what a crash or a
 * power cut can leave follows from this file alone. Each is a few calls of `node:fs/promises` (`mkdir`, `open`, `rename`,
 * `rm`, and `writeFile`, `sync`, `close` of a file handle), which a test may wrap to cut, fail or record them.
 */
import { randomBytes } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";

/**
 * Writes a new file, whole or part after part, and flushes it. Its name is durable only after `syncFolder`. Throws if `path`
 * exists.
 */
export async function writeNewFile(
  path: string,
  bytes: Uint8Array | string | AsyncIterable<Uint8Array>,
): Promise<void> {
  const file = await open(path, "wx");
  try {
    for await (const part of isWhole(bytes) ? [bytes] : bytes) await file.writeFile(part); // each behind the one before
    await file.sync();
  } finally {
    await file.close();
  }
}

const isWhole = (bytes: Uint8Array | string | AsyncIterable<Uint8Array>): bytes is Uint8Array | string =>
  typeof bytes === "string" || bytes instanceof Uint8Array;

/** Makes a folder and those above it that are missing, and makes their names durable. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = resolve(folder); ; made = dirname(made)) {
    await syncFolder(dirname(made));
    if (made === resolve(first)) return;
  }
}

/** Renames a file or folder for good; on one file system, and onto a file it replaces that in one step. */
export async function moveEntry(from: string, to: string): Promise<void> {
  await rename(from, to);
  await syncFolder(dirname(to));
  if (dirname(from) !== dirname(to)) await syncFolder(dirname(from));
}

/** Removes a file or a folder with all that is in it; what is not there is no fault. */
export async function removeEntry(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}

/** Flushes a file's bytes, by whomever they were written. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes the names in a folder durable. Windows has no such call and needs none. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform !== "win32") await syncFile(folder);
}

/** A name to write under before a rename: hidden, in the same folder (a rename works inside one file system only), new each time. */
export function temporarySibling(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.${randomBytes(6).toString("hex")}.tmp`);
}
