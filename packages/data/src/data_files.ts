/** The files that data paths stand for, and what identifies them. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { hashFile } from "@zerogate/core/node";

export interface DataFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** The files that `paths` stand for. @throws InputError listing every path that does not exist or holds no data file. */
export async function listDataFiles(paths: string | readonly string[]): Promise<string[]> {
  const files: string[] = [];
  const problems: string[] = [];
  for (const path of typeof paths === "string" ? [paths] : paths) {
    const info = await stat(path).catch((error: Error) => error);
    if (info instanceof Error) problems.push(`${path}: ${info.message}`);
    else if (!info.isDirectory()) files.push(path);
    else {
      const names = (await readdir(path)).filter((name) => /\.(json|jsonl)$/i.test(name)).toSorted();
      if (names.length === 0) problems.push(`${path}: a folder without *.json or *.jsonl, at least one is needed`);
      files.push(...names.map((name) => join(path, name)));
    }
  }
  if (files.length + problems.length === 0) problems.push("no path was given, at least 1 is needed");
  if (problems.length > 0) throw new InputError("Cannot read the data", problems);
  return files;
}

/** Size and SHA-256 of a file. */
export async function hashDataFile(path: string): Promise<DataFile> {
  return { path, bytes: (await stat(path)).size, sha256: await hashFile(path) };
}
