/** The files that data paths stand for, and what identifies them. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { hashFile, notRegular, reason } from "@zerogate/core/node";

/** A file that was read, and its identity. */
export interface DataFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** The files that `paths` stand for. @throws InputError listing every path that is no regular file or holds no data file. */
export async function listDataFiles(paths: string | readonly string[]): Promise<string[]> {
  const files: string[] = [];
  const problems: string[] = [];
  for (const path of typeof paths === "string" ? [paths] : paths) {
    const isFolder = await stat(path).then(
      (stats) => stats.isDirectory(),
      () => false,
    );
    const found = isFolder ? await dataFilesIn(path) : [path];
    if (found.length === 0) problems.push(`${path}: a folder without *.json or *.jsonl, at least one is needed`);
    for (const file of found) {
      const problem = await stat(file).then(notRegular, reason);
      if (problem === undefined) files.push(file);
      else problems.push(`${file}: ${problem}`);
    }
  }
  if (files.length + problems.length === 0) problems.push("no path was given, at least 1 is needed");
  if (problems.length > 0) throw new InputError("Cannot read the data", problems);
  return files;
}

async function dataFilesIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => /\.(json|jsonl)$/i.test(name));
  return names.toSorted().map((name) => join(folder, name));
}

/** Size and SHA-256 of a file. */
export async function hashDataFile(path: string): Promise<DataFile> {
  return { path, bytes: (await stat(path)).size, sha256: await hashFile(path) };
}
