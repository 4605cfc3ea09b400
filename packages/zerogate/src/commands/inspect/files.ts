/** Says of a file what it is and what is in it. One of ours that is damaged or half-written is described as such. */
import { basename, dirname } from "node:path";
import { InputError } from "@zerogate/core";
import { readFolderJson, reason } from "@zerogate/core/node";
import { dataName, inspectData } from "./data_files.ts";
import type { Facts } from "./facts.ts";
import { type JsonObject, type KnownFile, type OpenedFile, openFile } from "./known_file.ts";
import { modelTexts } from "./model_texts.ts";
import { ownBinaries } from "./own_binaries.ts";
import { ownLines } from "./own_lines.ts";
import { ownTexts } from "./own_texts.ts";
import { tensorFiles } from "./tensor_files.ts";

/** In this order: what has a name of its own comes before what is known by its first bytes. */
const knownFiles: readonly KnownFile[] = [...ownLines, ...ownBinaries, ...ownTexts, ...modelTexts, ...tensorFiles];

/** Formats that data may come in: there it is said how to make data of them. */
const dataFormats = ["text", "server-message", "utf-16", "utf-32", "parquet", "table", "document"];

/** @throws InputError if the file cannot be read. */
export async function inspectFile(path: string): Promise<Facts> {
  const file = await openFile(path);
  const { described, bytes } = file;
  const known = knownFiles.find((candidate) => candidate.is(file));
  const isData =
    dataFormats.includes(described?.kind ?? "") || (described?.kind === "compressed" && dataName.test(path));
  if (described && described.kind !== known?.format && !isData) {
    const what = known ? `${described.what}, in the place of ${known.what}` : described.what;
    return { kind: described.kind, path, bytes, what, problem: described.problem };
  }
  if (!known) return { ...(await inspectData(path, described)), bytes };
  return { kind: known.kind, path, what: known.what, bytes, ...(await contentOf(known, file)) };
}

async function contentOf(known: KnownFile, file: OpenedFile): Promise<JsonObject> {
  const { path, object } = file;
  try {
    if (!known.isJson || object !== undefined) return await known.read(file);
    await readFolderJson(dirname(path), basename(path));
    return { problem: "it is JSON, but not an object" };
  } catch (error) {
    return { problem: error instanceof InputError ? error.problems.join("; ") : reason(error) };
  }
}
