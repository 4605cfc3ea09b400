/** Which form the base at a path has. */
import { stat } from "node:fs/promises";
import type { BaseForm } from "./base_form.ts";
import { folderForm } from "./folder_form.ts";
import { ggufForm } from "./gguf_form.ts";

/** Whether a path means a GGUF file: by its name, unless it is a folder's. */
export async function isGgufFile(path: string): Promise<boolean> {
  return /\.gguf$/i.test(path) && (await stat(path).catch(() => undefined))?.isDirectory() !== true;
}

/** Returns the form of the base at `path`: a GGUF file, or else a folder. */
export async function baseForm(path: string): Promise<BaseForm> {
  return (await isGgufFile(path)) ? ggufForm(path) : folderForm(path);
}
