/** Folders of the user who runs this process. A container may run under a bare user id, which has none. */
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Returns the user's home folder, or undefined if there is none: no `HOME`, and no entry for the user id.
 * @param find throws if there is none, as `os.homedir` does
 */
export function homeFolder(find: () => string = homedir): string | undefined {
  try {
    const folder = find();
    return isAbsolute(folder) ? folder : undefined; // HOME may be set to nothing
  } catch {
    return undefined;
  }
}

/** Returns `zerogate` in the XDG cache folder: for what can be made again. Undefined if the user has no home. */
export function cacheFolder(env: Environment = process.env, find?: () => string): string | undefined {
  const named = env["XDG_CACHE_HOME"] ?? "";
  if (isAbsolute(named)) return join(named, "zerogate"); // the specification has others ignored
  const home = homeFolder(find);
  return home === undefined ? undefined : join(home, ".cache", "zerogate");
}
