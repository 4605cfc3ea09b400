/** What the text of a lock says: which process holds it, so that others can find out whether it still runs. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile, readlink } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { parseStrictJson } from "@zerogate/core/formats";
import * as z from "zod";

/** A file without its text is being written, unless its writer died: nobody takes longer than this. */
const WRITE_LIMIT_MS = 2000;

export interface LockRecord {
  readonly pid: number;
  /** When the process began, as its system reports it: a process id alone is given out again. */
  readonly startTime: string;
  readonly host: string;
  /** Of this start of the machine, and of the container's process ids; empty if the system has none. */
  readonly boot: string;
  readonly since: string;
}

const recordSchema = z.strictObject({
  pid: z.int().min(1),
  startTime: z.string(),
  host: z.string(),
  boot: z.string(),
  since: z.string(),
});

export interface ReadLock {
  /** Undefined if the lock is gone. */
  readonly text: string | undefined;
  /** Undefined if the text is no record, too. */
  readonly record: LockRecord | undefined;
}

/** What a lock says; one that is still being written is waited for. */
export async function readRecord(path: string): Promise<ReadLock> {
  let text = "";
  for (let waited = 0; text === "" && waited <= WRITE_LIMIT_MS; waited += 20) {
    if (waited > 0) await sleep(20);
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return { text: undefined, record: undefined };
      throw error;
    }
  }
  try {
    return { text, record: recordSchema.parse(parseStrictJson(text)) };
  } catch {
    return { text, record: undefined };
  }
}

/** Returns what a lock file says of this process. */
export async function ownRecord(): Promise<LockRecord> {
  const bootId = await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "");
  const namespace = await readlink("/proc/self/ns/pid").catch(() => "");
  return {
    pid: process.pid,
    startTime: processStart(process.pid) ?? "",
    host: hostname(),
    boot: `${bootId.trim()} ${namespace}`,
    since: new Date().toISOString(),
  };
}

/** When a process began, as a text that is compared only; undefined if there is no such process. */
export function processStart(pid: number): string | undefined {
  try {
    if (process.platform === "linux") return linuxStart(readFileSync(`/proc/${pid}/stat`, "utf8"));
    if (process.platform === "win32") return process.kill(pid, 0) ? "" : undefined;
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim();
  } catch (error) {
    // Windows: a process of another user may not be asked, so it is there.
    return (error as NodeJS.ErrnoException).code === "EPERM" ? "" : undefined;
  }
}

/** Field 22 of /proc/PID/stat, in ticks since boot; field 2 is a name in brackets that may hold anything. A zombie is dead. */
function linuxStart(stat: string): string | undefined {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" ? undefined : fields[19];
}
