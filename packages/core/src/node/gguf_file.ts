/** A GGUF file on disk, or the files that one model was split into: headers, and reads by position. */
import type { FileHandle } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { InputError } from "../errors.ts";
import { type GgufHeader, type GgufTensor, parseGgufHeader } from "../formats/gguf.ts";
import type { GgufValue } from "../formats/gguf_values.ts";
import { type FolderFile, folderFile } from "./model_folder.ts";
import { openRegularFile, readFully } from "./regular_file.ts";

/** Enough for the header of most files; longer ones are read on, four times as much each time. */
const FIRST_BYTES = 2 ** 20;
const MAX_PARTS = 1000;

/** An open file; the caller closes `handle`. */
interface GgufFile extends GgufHeader {
  readonly path: string;
  readonly handle: FileHandle;
}

/** A model in one file or several: the metadata of the first, and the tensors of all. */
export interface OpenedGguf {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor & { readonly file: GgufFile }>;
  close(): Promise<void>;
}

const partName = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i;

/** Returns the files that the model at `path` has, by name. Throws an `InputError` if one of them is missing. */
export async function ggufParts(path: string): Promise<ReadonlyMap<string, FolderFile>> {
  const [folder, name] = [dirname(path), basename(path)];
  const [, stem, number, total] = partName.exec(name) ?? [];
  if (number !== undefined && Number(number) !== 1) {
    throw new InputError(
      `Cannot use ${path} as a model`,
      `it is part ${Number(number)} of ${Number(total)}: name the first`,
    );
  }
  const count = total === undefined ? 1 : Number(total);
  if (count < 1 || count > MAX_PARTS) {
    throw new InputError(
      `Cannot use ${path} as a model`,
      `its name claims ${count} parts, at most ${MAX_PARTS} are read`,
    );
  }
  const extension = name.slice(name.lastIndexOf("."));
  const names = Array.from({ length: count }, (_, i) =>
    total === undefined ? name : `${stem}-${String(i + 1).padStart(5, "0")}-of-${total}${extension}`,
  );
  const parts = new Map<string, FolderFile>();
  const missing: string[] = [];
  for (const part of names) {
    const file = await folderFile(folder, part);
    if (file) parts.set(part, file);
    else missing.push(`${part} is not there: fetch the missing part`);
  }
  if (missing.length > 0) throw new InputError(`Cannot use ${path} as a model`, missing);
  return parts;
}

/** Opens all of them. Throws an `InputError` if one is damaged, or they do not belong together. */
export async function openGguf(parts: ReadonlyMap<string, FolderFile>): Promise<OpenedGguf> {
  const files: GgufFile[] = [];
  const close = async () => {
    for (const { handle } of files) await handle.close();
  };
  try {
    for (const part of parts.values()) files.push(await openPart(part));
    return { ...joined(files), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Reads the metadata of a GGUF file, or of the first of its parts. Throws an `InputError` if it is damaged. */
export async function readGgufMetadata(path: string): Promise<ReadonlyMap<string, GgufValue>> {
  const [first] = (await ggufParts(path)).values();
  const { metadata, handle } = await openPart(first);
  await handle.close();
  return metadata;
}

/** What `describeGguf` finds. */
export interface GgufSummary {
  readonly files: number;
  readonly bytes: number;
  /** Numbers by the type that holds them. */
  readonly types: Readonly<Record<string, number>>;
}

/** Says of a GGUF file and its other parts how large they are and what they hold. Throws an `InputError` if one is damaged. */
export async function describeGguf(path: string): Promise<GgufSummary> {
  const parts = await ggufParts(path);
  const { tensors, close } = await openGguf(parts);
  await close();
  const types: Record<string, number> = {};
  for (const { type, shape } of tensors.values()) {
    types[type.name] = (types[type.name] ?? 0) + shape.reduce((a, b) => a * b, 1);
  }
  const bytes = [...parts.values()].reduce((sum, part) => sum + part.bytes, 0);
  return { files: parts.size, bytes, types };
}

async function openPart({ path, bytes }: FolderFile): Promise<GgufFile> {
  const handle = await openRegularFile(path);
  try {
    for (let length = Math.min(FIRST_BYTES, bytes); ; length = Math.min(4 * length, bytes)) {
      const head = new Uint8Array(length);
      await readFully({ path, handle }, head, 0);
      const header = parseGgufHeader(head, bytes, path);
      if (header) return { path, handle, ...header };
    }
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function joined(files: readonly GgufFile[]): Omit<OpenedGguf, "close"> {
  const [first] = files;
  const tensors = new Map<string, GgufTensor & { readonly file: GgufFile }>();
  for (const [i, file] of files.entries()) {
    const fail = (problem: string) => new InputError(`Cannot use ${file.path} as a part of a model`, problem);
    const [number, count] = [file.metadata.get("split.no") ?? 0, file.metadata.get("split.count") ?? 1];
    const isSingle = files.length === 1 && (count === 0 || count === 1);
    if (!isSingle && (number !== i || count !== files.length)) {
      const found = `it says that it is part ${Number(number) + 1} of ${Number(count)}`;
      throw fail(
        `${found}, needed is part ${i + 1} of ${files.length}: name the first of all parts, each as it was called`,
      );
    }
    for (const [name, tensor] of file.tensors) {
      if (tensors.has(name)) throw fail(`it has ${JSON.stringify(name.slice(0, 200))}, as a part before it has`);
      tensors.set(name, { ...tensor, file });
    }
  }
  const expected = first.metadata.get("split.tensors.count") ?? tensors.size;
  if (files.length > 1 && expected !== tensors.size) {
    const found = `its parts have ${tensors.size} tensors, needed are ${Number(expected)}`;
    throw new InputError(`Cannot use ${first.path} as a model`, `${found}: use the parts of one model`);
  }
  return { metadata: first.metadata, tensors };
}
