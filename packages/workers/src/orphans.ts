/**
 * Devices' processes that outlive their coordinator. Each ends when its parent does, by itself; but one that is stopped
 * (SIGSTOP, a debugger) cannot, and stays with all its memory when the parent is killed meanwhile: measured on Linux, where
 * nobody continues it. So the next coordinator of this program ends it.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * Ends the processes that run `program`, are stopped, and are no child of the process that their last argument names. Looks at
 * processes of its own namespace only: elsewhere numbers mean other processes. Does nothing if there is no /proc.
 */
export function endStoppedOrphans(program: string): void {
  const namespace = namespaceOf("self");
  if (namespace === undefined) return;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name) || !isStoppedOrphan(name, program) || namespaceOf(name) !== namespace) continue;
    try {
      process.kill(Number(name), "SIGKILL");
    } catch {
      // It is gone, or somebody else's.
    }
  }
}

function isStoppedOrphan(name: string, program: string): boolean {
  try {
    const words = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0").slice(0, -1);
    if (!words.includes(program)) return false;
    const stat = readFileSync(`/proc/${name}/stat`, "latin1");
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "T" && parent !== words.at(-1);
  } catch {
    return false;
  }
}

function namespaceOf(name: string): string | undefined {
  try {
    return readlinkSync(`/proc/${name}/ns/pid`);
  } catch {
    return undefined;
  }
}
