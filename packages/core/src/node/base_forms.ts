/** Which form the base at a path has. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { BaseForm } from "./base_form.ts";
import { folderForm } from "./folder_form.ts";
import { ggufForm } from "./gguf_form.ts";
import { isMetaFolder, metaForm } from "./meta_form.ts";

/** Whether a path means a GGUF file: by its name, unless it is a folder's. */
export async function isGgufFile(path: string): Promise<boolean> {
  return /\.gguf$/i.test(path) && (await stat(path).catch(() => undefined))?.isDirectory() !== true;
}

/** Returns the form of the base at `path`: a GGUF file, a folder of Meta's files, or else one of transformers'. */
export async function baseForm(path: string): Promise<BaseForm> {
  if (await isGgufFile(path)) return ggufForm(path);
  return (await isMetaFolder(path)) ? metaForm(path) : folderForm(path);
}

/** Whether anything lies at `path` that a base may be read from; whether it can be is not asked. */
export async function isBaseAt(path: string): Promise<boolean> {
  const isFile = async (file: string) => (await stat(file).catch(() => undefined))?.isFile() ?? false;
  if (await isGgufFile(path)) return await isFile(path);
  return (await isFile(join(path, "config.json"))) || (await isFile(join(path, "params.json")));
}
