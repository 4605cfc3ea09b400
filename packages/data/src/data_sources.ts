/** What data paths stand for: files, folders of files, splits of ScienceQA. */
import { readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InputError } from "@zerogate/core";
import { notRegular, reason } from "@zerogate/core/node";
import { dataName } from "./files/data_name.ts";
import { CAPTIONS, PROBLEMS, SPLITS } from "./scienceqa/problems.ts";

/** A file of records; `list` names one of the lists of an object in it. */
export interface FileSource {
  readonly kind: "file";
  readonly path: string;
  readonly list?: string | undefined;
}

/** A file of records, or a split of a ScienceQA folder. */
export type DataSource =
  | FileSource
  | { readonly kind: "scienceqa"; readonly folder: string; readonly split: string; readonly captions: boolean };

/** What is read of a ScienceQA folder. */
export interface ScienceSourceOptions {
  /** The split of a folder whose path names none. @default "train" */
  readonly split?: string | undefined;
  /** Let captions of images join the hints. @default false */
  readonly captions?: boolean | undefined;
}

const SPLIT_NAME = /^[A-Za-z]\w*$/;

/**
 * Returns what `paths` stand for, in order: a folder for its files of data in the order of their names, one with
 * ScienceQA's problems for a split of them, `FOLDER#SPLIT` for the split of that name, `FILE.json#LIST` for a list of an object.
 *
 * @throws InputError listing every path that is no regular file or holds no data file.
 */
export async function listSources(
  paths: string | readonly string[],
  options: ScienceSourceOptions = {},
): Promise<DataSource[]> {
  const sources: DataSource[] = [];
  const problems: string[] = [];
  for (const path of typeof paths === "string" ? [paths] : paths) {
    const scienceQa = await scienceQaAt(path, options);
    const found = scienceQa ? [scienceQa] : await filesAt(path);
    if (found.length === 0)
      problems.push(
        `${path}: a folder without a file of data (*.json, *.jsonl, *.csv, *.tsv, *.parquet, or one of these as .gz or .zst), at least one is needed`,
      );
    for (const source of found) {
      const faults = await Promise.all(filesOf(source).map(problemOf));
      const fault = faults.find((one) => one !== undefined);
      if (fault === undefined) sources.push(source);
      else problems.push(fault);
    }
  }
  if (sources.length + problems.length === 0) problems.push("no path was given, at least 1 is needed");
  if (problems.length > 0) throw new InputError("Cannot read the data", problems);
  return sources;
}

/** The files that a source is read from. */
export function filesOf(source: DataSource): string[] {
  if (source.kind === "file") return [source.path];
  const names = source.captions ? [PROBLEMS, SPLITS, CAPTIONS] : [PROBLEMS, SPLITS];
  return names.map((name) => join(source.folder, name));
}

async function scienceQaAt(
  path: string,
  { split = "train", captions = false }: ScienceSourceOptions,
): Promise<DataSource | undefined> {
  const [, cut = "", named = ""] = /^(.+)#([^#/\\]+)$/.exec(path) ?? [];
  const isNamed = SPLIT_NAME.test(named) && !(await exists(path));
  const folder = isNamed ? cut : path;
  if (!(await exists(join(folder, PROBLEMS))) || !(await exists(join(folder, SPLITS)))) return undefined;
  return { kind: "scienceqa", folder, split: isNamed ? named : split, captions };
}

async function filesAt(path: string): Promise<FileSource[]> {
  const [, cut = "", list] = /^(.+)#([^#/\\]+)$/.exec(path) ?? [];
  if (list !== undefined && !(await exists(path)) && (await exists(cut))) return [{ kind: "file", path: cut, list }];
  const isFolder = await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  const files = isFolder ? await dataFilesIn(path) : [path];
  return files.map((file) => ({ kind: "file", path: file }));
}

async function dataFilesIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => dataName(name) !== undefined);
  return names.toSorted().map((name) => join(folder, name));
}

async function problemOf(file: string): Promise<string | undefined> {
  const problem = await stat(file).then(notRegular, reason);
  return problem === undefined ? undefined : `${file}: ${problem}`;
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/**
 * Returns the folder that images of a source's records must stay in: the user's, else that of the data file. The images of
 * ScienceQA are in `images` beside its problems, or beside them as they were downloaded.
 */
export async function imageRootOf(source: DataSource, imageRoot: string | undefined): Promise<string> {
  if (imageRoot !== undefined) return imageRoot;
  if (source.kind === "file") return dirname(source.path);
  const images = join(source.folder, "images");
  return (await exists(images)) ? images : source.folder;
}
