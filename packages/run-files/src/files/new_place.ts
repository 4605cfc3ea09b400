/** Whether a folder can be made where somebody wants it, before any work is done for it. */
import { access, constants, lstat, readlink, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { reason } from "@zerogate/core/node";

/** Returns what stands in the way of writing into `folder`, made if it is missing; undefined if nothing does. */
export async function placeProblem(folder: string): Promise<string | undefined> {
  for (let at = resolve(folder); ; at = dirname(at)) {
    const code = await lstat(at).then(
      () => undefined,
      (error: NodeJS.ErrnoException) => error.code ?? "",
    );
    if (code === undefined) return await problemAt(at);
    // Below a file or a dead link nothing is there either: what is, is found further up.
    if (!["ENOENT", "ENOTDIR", "ELOOP"].includes(code)) return `${at} cannot be looked at (${code})`;
    if (at === dirname(at)) return `${at} is not there`;
  }
}

/** @param path is there, at least as a link */
async function problemAt(path: string): Promise<string | undefined> {
  const target = await readlink(path).catch(() => undefined);
  const name = target === undefined ? path : `${path}, a link to ${target},`;
  try {
    if (!(await stat(path)).isDirectory()) return `${name} is a file`;
    await access(path, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ELOOP") return `${name} leads nowhere`;
    if (code === "EROFS") return `${name} is on a file system that is read-only`;
    if (code === "EACCES" || code === "EPERM") return `${name} may not be written to by this user`;
    return `${name} cannot be written to: ${reason(error)}`;
  }
}
