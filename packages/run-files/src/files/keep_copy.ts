/** A damaged file that is about to be cut or overwritten. */
import { constants, copyFileSync, existsSync } from "node:fs";

/** Copies it to `PATH.corrupt` (`.corrupt-2`, … if that is taken), for inspection, and returns the copy's path. */
export function keepCopy(path: string): string {
  let copy = `${path}.corrupt`;
  for (let i = 2; existsSync(copy); i++) copy = `${path}.corrupt-${i}`;
  copyFileSync(path, copy, constants.COPYFILE_EXCL);
  return copy;
}
