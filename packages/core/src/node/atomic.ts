/**
 * Files and folders that are whole or absent after a crash: write beside the place, fsync, rename, fsync the
 * parent. A published folder carries a manifest with the size and SHA-256 of every file, and is never written to again.
 */
import { lstat, mkdir, readdir, readFile, rename, stat } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { InputError } from "../errors.ts";
import { isJsonObject } from "../formats/json_fields.ts";
import { parseStrictJson } from "../formats/strict_json.ts";
import { moveEntry, removeEntry, syncFile, syncFolder, temporarySibling, writeNewFile } from "./durable.ts";
import { isCode, reason } from "./fs_errors.ts";
import { hashFile } from "./hash.ts";

const MANIFEST = "manifest.json";

/** Replaces `path` in one step: after a crash it holds the old bytes or all of the new ones, which may come part after part. */
export async function writeFileAtomic(
  path: string,
  bytes: Uint8Array | string | AsyncIterable<Uint8Array>,
): Promise<void> {
  const temporary = temporarySibling(path);
  try {
    await writeNewFile(temporary, bytes); // flushed: else the rename could outlive the data
    await moveEntry(temporary, path);
  } catch (cause) {
    await removeEntry(temporary).catch(() => {}); // the first failure is the one to report
    const size = typeof bytes === "string" || "length" in bytes ? ` (${bytes.length} bytes)` : "";
    throw new Error(`Cannot write ${path}${size}: ${reason(cause)}`, { cause });
  }
}

/**
 * Makes the folder `final` out of what `write` puts into the temporary folder it is given. Throws an `InputError` if
 * `final` exists, and what `write` throws; then nothing is left behind. A crash leaves at most a `.….tmp` sibling.
 */
export async function publishDirectory(final: string, write: (folder: string) => Promise<void>): Promise<void> {
  const target = resolve(final);
  if (await exists(target)) {
    throw new InputError(
      `Cannot publish ${final}`,
      "it exists, a published folder is never written again: choose a new name",
    );
  }
  const temporary = temporarySibling(target);
  await mkdir(temporary);
  try {
    await write(temporary);
    const { files, folders, others } = await listFolder(temporary);
    if (others.length > 0 || files.includes(MANIFEST)) {
      throw new RangeError(
        `Cannot publish ${final}: expected regular files and no ${MANIFEST}, got ${[...others, ...files].join(", ")}`,
      );
    }
    const entries: ManifestEntry[] = [];
    for (const path of files) {
      const file = join(temporary, path);
      await syncFile(file);
      entries.push({ path, size: (await stat(file)).size, sha256: await hashFile(file) });
    }
    await writeNewFile(join(temporary, MANIFEST), manifestText(entries));
    for (const folder of [...folders, "."]) await syncFolder(join(temporary, folder));
    await rename(temporary, target);
  } catch (error) {
    await removeEntry(temporary).catch(() => {});
    throw error;
  }
  await syncFolder(dirname(target));
}

/**
 * Compares a published folder with its manifest: every file there, of the right size and hash, and nothing else.
 * Returns the problems, one sentence each; none means that the folder is as it was published.
 */
export async function verifyDirectory(folder: string): Promise<string[]> {
  if (!(await exists(folder))) return [`${folder} does not exist`];
  if (!(await lstat(folder)).isDirectory()) return [`${folder} is not a folder`];
  const { files, others } = await listFolder(folder);
  const problems = others.map((path) => `${path} is not a regular file`);
  const manifest = files.includes(MANIFEST) ? parseManifest(await readFile(join(folder, MANIFEST))) : undefined;
  if (manifest === undefined) return [...problems, `${MANIFEST} is missing or damaged`];
  // Paths in a manifest are only compared, never opened.
  const expected = new Map(manifest.map((entry) => [entry.path, entry]));
  for (const path of files) {
    if (path === MANIFEST) continue;
    const entry = expected.get(path);
    expected.delete(path);
    if (entry === undefined) {
      problems.push(`${path} is not in ${MANIFEST}`);
      continue;
    }
    const { size } = await stat(join(folder, path));
    if (size !== entry.size) problems.push(`${path} has ${size} bytes, ${MANIFEST} says ${entry.size}`);
    else if ((await hashFile(join(folder, path))) !== entry.sha256)
      problems.push(`${path} has another SHA-256 than published`);
  }
  for (const path of expected.keys()) problems.push(`${path} is missing`);
  return problems;
}

interface ManifestEntry {
  /** Relative to the folder, with `/`. */
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

const manifestText = (files: readonly ManifestEntry[]): string => `${JSON.stringify({ version: 1, files }, null, 2)}\n`;

/** Undefined unless it is what `manifestText` writes, to the byte: nothing in a published folder may change unseen. */
function parseManifest(bytes: Uint8Array): ManifestEntry[] | undefined {
  let text: string;
  let manifest: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    manifest = parseStrictJson(text);
  } catch {
    return undefined;
  }
  if (!isJsonObject(manifest) || !Array.isArray(manifest["files"])) return undefined;
  const files: unknown[] = manifest["files"];
  if (!files.every(isEntry) || manifestText(files) !== text) return undefined;
  // A file listed twice has two hashes, and one of them is wrong.
  return new Set(files.map(({ path }) => path)).size === files.length ? files : undefined;
}

function isEntry(file: unknown): file is ManifestEntry {
  return (
    isJsonObject(file) &&
    Object.keys(file).length === 3 && // what is more would be written again as it was read
    typeof file["path"] === "string" &&
    typeof file["size"] === "number" &&
    typeof file["sha256"] === "string"
  );
}

/** Everything below a folder, as paths relative to it with `/`, ascending. Links are not followed. */
async function listFolder(folder: string): Promise<{ files: string[]; folders: string[]; others: string[] }> {
  const listing = { files: [] as string[], folders: [] as string[], others: [] as string[] };
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/");
    const kind = entry.isFile() ? listing.files : entry.isDirectory() ? listing.folders : listing.others;
    kind.push(path);
  }
  return { files: listing.files.toSorted(), folders: listing.folders.toSorted(), others: listing.others.toSorted() };
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isCode(error, "ENOENT")) return false;
    throw error;
  }
}
