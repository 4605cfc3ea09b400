/** Which base a folder holds: its hash, and a stamp by which one sees cheaply that its files are still the same. */
import { createHash } from "node:crypto";
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { writeFileAtomic } from "./atomic.ts";
import { baseForm } from "./base_forms.ts";
import { hashFile } from "./hash.ts";
import { readRegularFile } from "./regular_file.ts";

/** Which base a folder held, to notice when it holds another. */
export interface BaseIdentity {
  /** `baseHash` of the files. */
  readonly hash: string;
  /** `baseStamp` of the same files. */
  readonly stamp: string;
}

/**
 * Names the base in checkpoints: SHA-256, hexadecimal, over the SHA-256 and name of `config.json` and of every weight
 * file, one a line, names ascending; a GGUF file is both. Reads all files once.
 */
export async function baseHash(folder: string): Promise<string> {
  const hash = createHash("sha256");
  for (const [name, path] of await baseFiles(folder)) hash.update(`${await hashFile(path)}  ${name}\n`);
  return hash.digest("hex");
}

/** A file that changed shortly before could change again within the same tick of its file system's clock. */
const SETTLED_MS = 10_000;

/**
 * `baseHash`, taken from the cache folder if the files still have the stamp under which it was put there: at 2.2 GB it
 * is a second or two. A cache that is damaged is as good as none, and one that cannot be written is done without.
 */
export async function cachedBaseHash(folder: string, cacheDir: string): Promise<string> {
  const stamp = await baseStamp(folder);
  const path = join(cacheDir, `base-${sha256(stamp)}`);
  const known = await readRegularFile(path).then(String, () => "");
  const [cached = ""] = known.split("\n");
  if (known === cacheEntry(cached, stamp)) return cached;
  const begin = Date.now();
  const hash = await baseHash(folder);
  if ((await lastChange(folder)) < begin - SETTLED_MS) {
    await mkdir(cacheDir, { recursive: true })
      .then(() => writeFileAtomic(path, cacheEntry(hash, stamp)))
      .catch(() => {});
  }
  return hash;
}

/** The hash and a digest over it and the stamp that it belongs to, one a line. */
const cacheEntry = (hash: string, stamp: string): string => `${hash}\n${sha256(`${hash}\n${stamp}`)}\n`;

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Milliseconds since 1970. */
async function lastChange(folder: string): Promise<number> {
  const files = await baseFiles(folder);
  const times = await Promise.all(files.map(async ([, path]) => (await stat(path)).ctimeMs));
  return Math.max(...times);
}

/**
 * Changes whenever a file of the base is written to or replaced, and on some harmless occasions: place, size and times of
 * each file, as the file system reports them. Reads none of them, and means nothing on another machine.
 */
export async function baseStamp(folder: string): Promise<string> {
  const lines: string[] = [];
  for (const [name, path] of await baseFiles(folder)) {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    lines.push(`${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs} ${name}`);
  }
  return lines.join("\n");
}

/**
 * Throws an InputError unless the folder holds this base. Its files are read only if their stamp is another one.
 * @returns the stamp that it has now.
 */
export async function checkBase(folder: string, { hash, stamp }: BaseIdentity): Promise<string> {
  const now = await baseStamp(folder);
  if (now !== stamp && (await baseHash(folder)) !== hash) {
    throw new InputError(`Cannot use the base in ${folder}`, "its files are no longer those that the run began with");
  }
  return now;
}

/** Name and path of `config.json`, if there is one, and of every weight file, names ascending. */
async function baseFiles(path: string): Promise<[name: string, path: string][]> {
  const form = await baseForm(path);
  const config = await form.configFiles();
  const { files } = await form.requireWeights();
  const named = [...files, ...config].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return named.map(([name, file]) => [name, file.path]);
}
