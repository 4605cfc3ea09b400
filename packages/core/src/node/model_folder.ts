/**
 * The files of one model or adapter folder. A folder may come from a stranger: names in it are not trusted, and only regular
 * files are opened (a pipe would block forever). Links to files are followed, see `links.ts`.
 */
import type { Stats } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InputError } from "../errors.ts";
import { describeFile } from "../formats/file_kind.ts";
import { isCutOff, parseStrictJson } from "../formats/strict_json.ts";
import { isCode, kindOfEntry, reason } from "./fs_errors.ts";
import { deadLink } from "./links.ts";
import { openRegularFile, readFully } from "./regular_file.ts";

/** The largest config or shard index seen is below 1 MB; a longer one is not a config. */
const MAX_JSON_BYTES = 64 * 2 ** 20;

/** A regular file: its path, by the name that it has in its folder, and its size in bytes. */
export interface FolderFile {
  readonly path: string;
  readonly bytes: number;
}

/**
 * Finds `name` directly in `folder`, or a link of that name to a regular file anywhere; undefined if there is nothing under
 * that name. Throws an `InputError` on a name that leads elsewhere, on a link that leads to nothing, on a folder that is none
 * and on anything that is not a regular file.
 */
export async function folderFile(folder: string, name: string): Promise<FolderFile | undefined> {
  if (name === "" || name === "." || name === ".." || /[/\\\0]/.test(name)) {
    throw new InputError(
      `Cannot read from ${folder}`,
      `${JSON.stringify(name)} is not the name of a file in this folder`,
    );
  }
  const path = join(folder, name);
  const stats = await entryAt(path);
  if (stats === undefined) {
    await checkFolder(folder);
    return undefined;
  }
  if (!stats.isFile()) {
    const target = await realpath(path);
    const where = target === join(await realpath(folder), name) ? "it is" : `it is a link to ${target}, which is`;
    throw new InputError(`Cannot read ${path}`, `${where} ${kindOfEntry(stats)}: needed is a regular file`);
  }
  return { path: join(await realpath(folder), name), bytes: stats.size };
}

/** What lies at `path`, links followed; undefined if there is nothing. Throws an `InputError` on a link to nothing. */
async function entryAt(path: string): Promise<Stats | undefined> {
  const attempt = `Cannot read ${path}`;
  try {
    return await stat(path);
  } catch (cause) {
    if (isCode(cause, "ENOTDIR")) return undefined;
    if (!isCode(cause, "ENOENT")) throw new InputError(attempt, reason(cause), { cause });
    const dead = await deadLink(path);
    if (dead === undefined) return undefined;
    const way = dead.target.includes("/blobs/") ? "download the model again" : "mount or copy what it leads to";
    const which = dead.link.endsWith(path) ? "it" : dead.link;
    throw new InputError(attempt, `${which} is a link to ${dead.target}, which is not there: ${way}`, { cause });
  }
}

async function checkFolder(folder: string): Promise<void> {
  const stats = await entryAt(folder);
  if (stats?.isDirectory()) return;
  const problem = stats
    ? `it is ${kindOfEntry(stats)}, needed is the folder that holds the files`
    : `there is no such folder${await hubAdvice(folder)}`;
  throw new InputError(`Cannot read from ${folder}`, problem);
}

/** What to type if a folder and its parent are missing, as for a name on the Hub. */
async function hubAdvice(folder: string): Promise<string> {
  const [, organisation, name] = /([\w.-]+)[\\/]([\w.-]+)[\\/]?$/.exec(folder) ?? [];
  const above = await stat(dirname(folder)).catch(() => undefined);
  if (organisation === undefined || name === undefined || above !== undefined) return "";
  const fetched = `zerogate download ${organisation}/${name}`;
  return `, needed is a folder on this machine: if this is a name on the Hub, \`${fetched}\` makes a folder of it`;
}

/** A JSON file of the folder. Throws an `InputError` if it is missing, too long or not JSON to `parse`. */
export async function readFolderJson(
  folder: string,
  name: string,
  parse: (text: string) => unknown = parseStrictJson,
): Promise<unknown> {
  const attempt = `Cannot read ${join(folder, name)}`;
  const found = await folderFile(folder, name);
  if (found === undefined) throw new InputError(attempt, "there is no such file");
  if (found.bytes > MAX_JSON_BYTES) {
    throw new InputError(attempt, `it has ${found.bytes} bytes, at most ${MAX_JSON_BYTES} are read`);
  }
  const handle = await openRegularFile(found.path);
  try {
    const bytes = new Uint8Array(found.bytes); // no more than it had when its size was checked
    await readFully({ path: found.path, handle }, bytes, 0);
    return parseJson(bytes, attempt, parse);
  } finally {
    await handle.close();
  }
}

/** Says what the bytes are if they are something else than JSON. */
function parseJson(bytes: Uint8Array, attempt: string, parse: (text: string) => unknown): unknown {
  const other = describeFile(bytes, bytes.length, "text");
  if (other?.kind === "server-message") throw new InputError(attempt, other.problem); // may be JSON as well
  let text = "";
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return parse(text);
  } catch (cause) {
    if (other) throw new InputError(attempt, other.problem, { cause });
    if (!(cause instanceof SyntaxError)) throw new InputError(attempt, "it is not UTF-8: save it as that", { cause });
    const problem = isCutOff(text)
      ? `it ends after ${bytes.length} bytes in the middle: download or copy it again`
      : "";
    throw new InputError(attempt, problem || `not valid JSON: ${cause.message}`, { cause });
  }
}
