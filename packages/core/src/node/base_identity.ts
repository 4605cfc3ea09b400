/** Which base a folder holds: its hash, and a stamp by which one sees cheaply that its files are still the same. */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { InputError } from "../errors.ts";
import { hashFile } from "./hash.ts";
import { folderFile } from "./model_folder.ts";
import { findWeightFiles } from "./weight_files.ts";

export interface BaseIdentity {
  /** `baseHash` of the files. */
  readonly hash: string;
  /** `baseStamp` of the same files. */
  readonly stamp: string;
}

/**
 * Names the base in checkpoints: SHA-256, hexadecimal, over the SHA-256 and name of `config.json` and of every weight
 * file, one a line, names ascending. Reads all files once.
 */
export async function baseHash(folder: string): Promise<string> {
  const hash = createHash("sha256");
  for (const [name, path] of await baseFiles(folder)) hash.update(`${await hashFile(path)}  ${name}\n`);
  return hash.digest("hex");
}

/**
 * Changes whenever a file of the base is written to or replaced, and on some harmless occasions: place, size and times of
 * each file, as the file system tells them. Reads none of them, and means nothing on another machine.
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
 * Throws an InputError unless the folder holds this base. Its files are read only where their stamp is another one.
 * @returns the stamp that it has now.
 */
export async function checkBase(folder: string, { hash, stamp }: BaseIdentity): Promise<string> {
  const now = await baseStamp(folder);
  if (now !== stamp && (await baseHash(folder)) !== hash) {
    throw new InputError(`Cannot use the base in ${folder}`, "its files are no longer those that the run began with");
  }
  return now;
}

/** Name and path of `config.json` and every weight file, names ascending. */
async function baseFiles(folder: string): Promise<[name: string, path: string][]> {
  const config = await folderFile(folder, "config.json");
  if (config === undefined) throw new InputError(`Cannot name the base in ${folder}`, "there is no config.json");
  const { files } = await findWeightFiles(folder);
  const named = [...files, ["config.json", config] as const].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return named.map(([name, { path }]) => [name, path]);
}
