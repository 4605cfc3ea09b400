/** A folder that a command is about to make. */
import { readdir } from "node:fs/promises";
import { InputError } from "@zerogate/core";
import { reason } from "@zerogate/core/node";
import { placeProblem } from "@zerogate/run-files";

/** Throws an `InputError` if `path` is there and not an empty folder: nothing of the user's is written over. */
export async function checkNewFolder(path: string): Promise<void> {
  const place = await placeProblem(path);
  if (place !== undefined) throw new InputError(`Cannot write the adapter to ${path}`, `${place}: choose a new folder`);
  const found = await readdir(path).catch((error: NodeJS.ErrnoException) => error);
  if (Array.isArray(found) ? found.length === 0 : found.code === "ENOENT") return;
  const problem = Array.isArray(found) ? "it is not empty" : found.code === "ENOTDIR" ? "it is a file" : reason(found);
  throw new InputError(`Cannot write the adapter to ${path}`, `${problem}: choose a new folder`);
}
