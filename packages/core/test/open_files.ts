/** Open files of this process; the test runner opens and closes others of its own meanwhile. Linux only. */
import { readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/** Returns the files under a folder that this process holds open, once for each time. */
export function openFilesUnder(folder: string): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const file = readlinkSync(join("/proc/self/fd", fd));
      return file.startsWith(folder) ? [file] : [];
    } catch {
      return []; // closed since it was listed
    }
  });
}
