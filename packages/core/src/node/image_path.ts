/** Paths of images in data: foreign input, which must not lead out of the folder that the images are in. */
import { realpath } from "node:fs/promises";
import { isAbsolute, relative, resolve, sep, win32 } from "node:path";
import { InputError } from "../errors.ts";
import { reason } from "./fs_errors.ts";

/**
 * The real path of an image below `root`, links followed. Throws an `InputError` if the path is absolute, a URL, or leads out
 * of the root by `..` or a link, and if nothing is there.
 */
export async function imagePath(root: string, path: string): Promise<string> {
  const shown = JSON.stringify(path.slice(0, 200));
  const refuse = (problem: string, cause?: unknown) =>
    new InputError(`Cannot read the image ${shown}`, problem, { cause });
  const needed = `needed is a path below ${root}`;
  if (path === "" || path.includes("\0")) throw refuse(`this is no path, ${needed}`);
  if (/^[a-z][a-z0-9+.-]+:/i.test(path)) throw refuse(`it is a URL, ${needed}: fetch the image first`);
  if (isAbsolute(path) || win32.isAbsolute(path) || /^[a-z]:/i.test(path)) throw refuse(`it is absolute, ${needed}`);
  const named = resolve(root, path);
  if (!isBelow(resolve(root), named)) throw refuse(`it leads out of the folder of images, ${needed}`);
  let [realRoot, real] = ["", ""];
  try {
    realRoot = await realpath(root);
    real = await realpath(named);
  } catch (cause) {
    throw refuse(`${realRoot === "" ? `${root}: ` : ""}${reason(cause)}`, cause);
  }
  if (!isBelow(realRoot, real)) throw refuse(`a link leads to ${real}, ${needed}: copy the file there`);
  return real;
}

function isBelow(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== "" && way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
