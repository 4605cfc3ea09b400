/** What `node:fs` throws, by code and as text for people. */
import type { Stats } from "node:fs";

/** Does this error of `node:fs` have that code, for example `ENOENT`? */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

const reasons: readonly (readonly [code: string, reason: string])[] = [
  ["ENOENT", "there is no such file or folder"],
  ["ENOTDIR", "a part of this path is a file, needed is a folder"],
  ["EACCES", "permission denied (EACCES)"],
  ["EPERM", "permission denied (EPERM)"],
  ["ELOOP", "it is a link that leads back to itself"],
  ["ENAMETOOLONG", "its name is longer than file systems allow"],
  ["EISDIR", "it is a folder, needed is a file"],
  ["EMFILE", "this process has as many files open as it may (EMFILE)"],
  ["ENFILE", "this machine has as many files open as it may (ENFILE)"],
  ["ENOSPC", "its disk is full (ENOSPC)"],
  ["EDQUOT", "its disk quota is used up (EDQUOT)"],
  ["EROFS", "its disk is read-only (EROFS)"],
  ["ENOTEMPTY", "it is a folder that is not empty"],
  ["EEXIST", "there is something of this name already"],
  ["EBUSY", "something else uses it (EBUSY)"],
  ["EIO", "its disk fails (EIO)"],
  ["ESTALE", "its network file system lost it (ESTALE): try again"],
];

/** Says why a call of `node:fs` failed; other errors in their own words. */
export function reason(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  // Between threads errors lose their fields: `ENOSPC` of "ENOSPC: no space left on device".
  const begin = /^(E[A-Z0-9]+): /.exec(thrown.message)?.[1];
  for (const [code, text] of reasons) if (isCode(thrown, code) || begin === code) return text;
  return thrown.message;
}

/** What lies at a path, with its article: `a pipe`. */
export function kindOfEntry(stats: Stats): string {
  if (stats.isFile()) return "a regular file";
  if (stats.isDirectory()) return "a folder";
  if (stats.isFIFO()) return "a pipe";
  if (stats.isSocket()) return "a socket";
  if (stats.isSymbolicLink()) return "a link";
  return "a device";
}
