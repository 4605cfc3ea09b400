/**
 * Links in folders of models and adapters. By default they are followed to wherever they lead: the Hugging Face hub's cache
 * is made of them. Readers of a stranger's archive call `refuseOutsideLinks` first.
 */
import { lstat, readdir, readlink, realpath } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { InputError } from "../errors.ts";
import { isCode, reason } from "./fs_errors.ts";

/** A link and where it leads to: `target` is what is not there. */
export interface DeadLink {
  readonly link: string;
  readonly target: string;
}

/** Finds the link on the way to `path`, itself or a folder above it, that leads to nothing; undefined if none does. */
export async function deadLink(path: string): Promise<DeadLink | undefined> {
  for (let at = resolve(path); ; at = dirname(at)) {
    const found = await lstat(at).catch(() => undefined);
    if (found?.isSymbolicLink()) return followed(at);
    if (found !== undefined || at === dirname(at)) return undefined;
  }
}

/** A link may lead to further ones: the last one's target is what is missing. */
async function followed(link: string): Promise<DeadLink | undefined> {
  let target = link;
  for (let hops = 0; hops < 40; hops++) {
    target = resolve(dirname(target), await readlink(target));
    const found = await lstat(target).catch(() => undefined);
    if (found === undefined) return { link, target };
    if (!found.isSymbolicLink()) return undefined;
  }
  return undefined;
}

/**
 * Throws an `InputError` that lists every link directly in `folder` that leads out of it. The `blobs` of the hub's cache
 * count as inside for the snapshots of the same repository.
 */
export async function refuseOutsideLinks(folder: string): Promise<void> {
  const attempt = `Cannot use ${folder} without following links`;
  try {
    const root = await realpath(folder);
    const inside = [root, ...hubBlobs(root)];
    const problems: string[] = [];
    for (const name of await readdir(root)) {
      const target = await targetOf(join(root, name));
      const isInside = inside.some((place) => !relative(place, target).startsWith("..") && target !== place);
      if (!isInside) problems.push(`${name} is a link to ${target}, outside of the folder: copy that file here`);
    }
    if (problems.length > 0) throw new InputError(attempt, problems);
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw new InputError(attempt, reason(cause), { cause });
  }
}

/** Where a link ends, also if nothing is there. */
async function targetOf(link: string): Promise<string> {
  try {
    return await realpath(link);
  } catch (cause) {
    if (isCode(cause, "ENOENT")) return (await followed(link))?.target ?? link;
    return resolve(dirname(link), await readlink(link));
  }
}

/** `blobs` beside the `snapshots` that this folder is in, at any depth: `models--ORG--NAME/snapshots/COMMIT/…`. */
function hubBlobs(root: string): string[] {
  const parts = root.split(sep);
  const at = parts.lastIndexOf("snapshots");
  return at > 0 && at < parts.length - 1 ? [[...parts.slice(0, at), "blobs"].join(sep)] : [];
}
