/**
 * One writer per run directory. The file `lock-N` with the highest N names who writes, or wrote last: a process with its
 * start time, host and boot. `lock-N.free` is one that ended well.
 *
 * Taking over is safe among any number of starters: who finds N free or dead makes `lock-(N+1)`, which the file system
 * gives to one of them only, and then looks again: who was slow finds a higher N, or that its own N was taken and freed in
 * between, and starts over. N never falls, because only files below the highest are removed. (A single file that is removed and
 * made anew is not safe: a slow starter would remove the lock of a quick one.)
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { link, open, readdir, readFile, readlink, rename } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { InputError } from "@zerogate/core";
import { makeFolder, removeEntry, temporarySibling, writeNewFile } from "@zerogate/core/node";
import * as z from "zod";

const namePattern = /^lock-([1-9]\d{0,14})(\.free)?$/;

/** A file without its text is being written, unless its writer died: nobody takes longer than this. */
const WRITE_LIMIT_MS = 2000;

const recordSchema = z.strictObject({
  pid: z.int().min(1),
  /** When the process began, as its system tells it: a process id alone is given out again. */
  startTime: z.string(),
  host: z.string(),
  /** Of this start of the machine, and of the container's process ids; empty where the system has none. */
  boot: z.string(),
  since: z.string(),
});

type LockRecord = z.infer<typeof recordSchema>;

export interface RunLock {
  /** Throws where another process has taken the run over; makes the lock again where the folder vanished. */
  confirm(): Promise<void>;
  /** Lets others write. Never throws: a lock that stays is found dead. */
  release(): Promise<void>;
}

/**
 * Makes this process the only writer of `runDir`, which is made where it is missing.
 *
 * @param onStale gets a sentence where the lock of a dead process is taken over.
 * @throws InputError that names the process where another one is writing, or where that cannot be known.
 */
export async function lockRun(runDir: string, onStale: (sentence: string) => void): Promise<RunLock> {
  const text = `${JSON.stringify(await ownRecord())}\n`;
  let path = await acquire(runDir, text, onStale);
  /** In a folder that vanished another process may have begun with the same number. */
  const isOwn = async () => (await readFile(path, "utf8").catch(() => "")) === text;
  return {
    async confirm() {
      const newest = await newestLock(runDir);
      if (newest?.path === path && (await isOwn())) return;
      path = await acquire(runDir, text, onStale);
    },
    async release() {
      if (await isOwn()) await rename(path, `${path}.free`).catch(() => {});
    },
  };
}

/** Whether a name in a run directory belongs to its lock. */
export function isLockName(name: string): boolean {
  return namePattern.test(name) || /^\.lock-.*\.tmp$/.test(name);
}

/** Makes a lock with this text and returns its path. */
async function acquire(runDir: string, text: string, onStale: (sentence: string) => void): Promise<string> {
  await makeFolder(runDir);
  const own = recordSchema.parse(JSON.parse(text));
  const said = new Set<number>();
  for (;;) {
    const newest = await newestLock(runDir);
    if (newest && !newest.isFree) {
      const state = await judge(newest.path, own);
      if (state.kind === "gone") continue;
      if (state.kind !== "dead") throw new InputError(`Cannot write to the run ${runDir}`, state.problem);
      if (!said.has(newest.number)) onStale(state.sentence);
      said.add(newest.number);
    }
    const number = (newest?.number ?? 0) + 1;
    const path = join(runDir, `lock-${number}`);
    if (!(await createLock(path, text))) continue;
    const names = await locks(runDir);
    if (names.some((other) => other.number > number || (other.number === number && other.isFree))) {
      await removeEntry(path);
      continue;
    }
    for (const older of names) if (older.number < number) await removeEntry(older.path);
    return path;
  }
}

interface LockFile {
  readonly path: string;
  readonly number: number;
  readonly isFree: boolean;
}

async function locks(runDir: string): Promise<LockFile[]> {
  const names = await readdir(runDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  return names.flatMap((name) => {
    const match = namePattern.exec(name);
    return match ? [{ path: join(runDir, name), number: Number(match[1]), isFree: match[2] !== undefined }] : [];
  });
}

/** Where a slow starter made N once more, the free one counts: the other is about to go. */
async function newestLock(runDir: string): Promise<LockFile | undefined> {
  return (await locks(runDir)).toSorted((a, b) => b.number - a.number || Number(b.isFree) - Number(a.isFree))[0];
}

/** Makes the file with its text in one step; false where it exists. */
async function createLock(path: string, text: string): Promise<boolean> {
  const temporary = temporarySibling(path);
  try {
    await writeNewFile(temporary, text);
    await link(temporary, path);
    return true;
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(code)) throw error;
    return await createWithoutLinks(path, text);
  } finally {
    await removeEntry(temporary).catch(() => {});
  }
}

/** For file systems without hard links: for a moment the file is empty, which `judge` allows for. */
async function createWithoutLinks(path: string, text: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    try {
      await file.writeFile(text);
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

type Judgement =
  | { readonly kind: "gone" }
  | { readonly kind: "dead"; readonly sentence: string }
  | { readonly kind: "alive" | "unknown"; readonly problem: string };

async function judge(path: string, own: LockRecord): Promise<Judgement> {
  const record = await readRecord(path);
  if (record === "gone") return { kind: "gone" };
  if (record === "damaged") return { kind: "dead", sentence: `${path} is damaged: its process is taken for dead` };
  const { pid, host, boot, startTime, since } = record;
  const who = `process ${pid} on ${host}, since ${since}`;
  if (host !== own.host) {
    const advice = `if it no longer runs, remove ${path}`;
    return { kind: "unknown", problem: `${who}, may be writing to it, which cannot be seen from here: ${advice}` };
  }
  const [bootId, namespace] = boot.split(" ");
  const [ownBootId, ownNamespace] = own.boot.split(" ");
  if (bootId !== ownBootId) {
    return { kind: "dead", sentence: `${who}, was writing to this run until its machine went down: taken over` };
  }
  if (namespace !== ownNamespace) {
    const advice = `if it no longer runs, remove ${path}`;
    return { kind: "unknown", problem: `${who} in another container, may be writing to it: ${advice}` };
  }
  if (processStart(pid) !== startTime) {
    return { kind: "dead", sentence: `${who}, was writing to this run and no longer runs: taken over` };
  }
  return { kind: "alive", problem: `${who}, is writing to it: wait for its end, or stop it` };
}

async function readRecord(path: string): Promise<LockRecord | "gone" | "damaged"> {
  for (let waited = 0; ; waited += 20) {
    try {
      const text = await readFile(path, "utf8");
      if (text !== "" || waited >= WRITE_LIMIT_MS) return recordSchema.parse(JSON.parse(text));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT") return "gone";
      if (code === undefined) return "damaged";
      throw error;
    }
    await sleep(20);
  }
}

async function ownRecord(): Promise<LockRecord> {
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

/** When a process began, as a text that is compared only; undefined where there is no such process. */
function processStart(pid: number): string | undefined {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return undefined;
  }
  if (process.platform === "win32") return "";
  if (process.platform === "linux") {
    try {
      return linuxStart(readFileSync(`/proc/${pid}/stat`, "utf8"));
    } catch {
      return undefined;
    }
  }
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

/** Field 22 of /proc/PID/stat, in ticks since boot; field 2 is a name in brackets that may hold anything. A zombie is dead. */
function linuxStart(stat: string): string | undefined {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" ? undefined : fields[19];
}
