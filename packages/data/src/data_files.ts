/** The files that data paths stand for, and what identifies them. */
import { stat } from "node:fs/promises";
import { hashFile } from "@zerogate/core/node";
import { filesOf, listSources } from "./data_sources.ts";

/** A file that was read, and its identity. */
export interface DataFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** The files that `paths` are read from. @throws InputError listing every path that is no regular file or holds no data file. */
export async function listDataFiles(paths: string | readonly string[]): Promise<string[]> {
  return (await listSources(paths)).flatMap(filesOf);
}

/** Size and SHA-256 of a file. */
export async function hashDataFile(path: string): Promise<DataFile> {
  return { path, bytes: (await stat(path)).size, sha256: await hashFile(path) };
}
