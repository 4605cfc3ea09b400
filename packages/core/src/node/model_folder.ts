/**
 * The files of one model or adapter folder. A folder may come from a stranger: names in it are not trusted, links may not
 * lead out of it, and only regular files are opened (a pipe would block forever).
 */
import { readFile, realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { InputError } from "../errors.ts";
import { parseStrictJson } from "../formats/strict_json.ts";
import { isCode, reason } from "./fs_errors.ts";

/** The largest config or shard index seen is below 1 MB; a longer one is not a config. */
const MAX_JSON_BYTES = 64 * 2 ** 20;

/** A regular file: its real path and size in bytes; undefined where there is nothing of that name. */
export interface FolderFile {
  readonly path: string;
  readonly bytes: number;
}

/**
 * Finds `name` directly in `folder`. Links may lead to the folder itself or, in the cache of the Hugging Face hub, to
 * the `blobs` beside its `snapshots`. Throws an `InputError` on a name or link that leads elsewhere and on anything
 * that is not a regular file.
 */
export async function folderFile(folder: string, name: string): Promise<FolderFile | undefined> {
  const path = join(folder, name);
  const refused = (problem: string, cause?: unknown) => new InputError(`Cannot read ${path}`, problem, { cause });
  if (name === "" || name === "." || name === ".." || /[/\\\0]/.test(name)) {
    throw new InputError(
      `Cannot read from ${folder}`,
      `${JSON.stringify(name)} is not the name of a file in this folder`,
    );
  }
  try {
    const [root, target] = await Promise.all([realpath(folder), realpath(path)]);
    const inside = [root];
    if (basename(dirname(root)) === "snapshots") inside.push(join(dirname(dirname(root)), "blobs"));
    if (!inside.includes(dirname(target)))
      throw refused(`it is a link to ${target}, outside of the folder: copy it, or name the folder that it is in`);
    const stats = await stat(target);
    if (!stats.isFile()) throw refused("it is not a regular file");
    return { path: target, bytes: stats.size };
  } catch (cause) {
    if (isCode(cause, "ENOENT")) return undefined;
    if (cause instanceof InputError) throw cause;
    throw refused(reason(cause), cause);
  }
}

/** A JSON file of the folder. Throws an `InputError` where it is missing, too long or not strict JSON. */
export async function readFolderJson(folder: string, name: string): Promise<unknown> {
  const attempt = `Cannot read ${join(folder, name)}`;
  const file = await folderFile(folder, name);
  if (file === undefined) throw new InputError(attempt, "there is no such file");
  if (file.bytes > MAX_JSON_BYTES) {
    throw new InputError(attempt, `it has ${file.bytes} bytes, at most ${MAX_JSON_BYTES} are read`);
  }
  try {
    return parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(await readFile(file.path)));
  } catch (cause) {
    throw new InputError(attempt, cause instanceof SyntaxError ? `not valid JSON: ${cause.message}` : reason(cause), {
      cause,
    });
  }
}
