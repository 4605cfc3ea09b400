/** One process at a time downloads a blob. A lock is a file of the cache that its holder touches; one that stands still is dead. */
import { mkdir, open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { isCode, temporarySibling } from "@zerogate/core/node";

const BEAT_MS = 5000;
/** By the clock of who waits: clocks of two hosts need not agree. */
const DEAD_MS = 60_000;
const LOOK_MS = 250;

/** What is waited for, in the words of a lock. */
export interface LockHolder {
  readonly pid: number;
  readonly host: string;
}

/**
 * Runs `work` while this process alone has the lock.
 * @param onWait is called once if another process has it.
 */
export async function withBlobLock<T>(
  path: string,
  { signal, onWait }: { readonly signal: AbortSignal; readonly onWait: (holder: LockHolder | undefined) => void },
  work: () => Promise<T>,
): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  await take(path, signal, onWait);
  const beat = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => {}), BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    await rm(path, { force: true });
  }
}

async function take(
  path: string,
  signal: AbortSignal,
  onWait: (holder: LockHolder | undefined) => void,
): Promise<void> {
  let [seen, since, isSaid] = ["", performance.now(), false];
  for (;;) {
    if (await makeLock(path)) return;
    const now = await stateOf(path);
    if (now === undefined) continue; // given back a moment ago
    if (now.mark !== seen) [seen, since] = [now.mark, performance.now()];
    if (isDead(now.holder) || performance.now() - since > DEAD_MS) {
      await setAside(path);
      continue;
    }
    if (!isSaid) onWait(now.holder);
    isSaid = true;
    await wait(LOOK_MS, undefined, { signal });
  }
}

/** Whether the lock was made: the file system gives it to one process. */
async function makeLock(path: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    await file.writeFile(JSON.stringify({ pid: process.pid, host: hostname() }));
    await file.close();
    return true;
  } catch (error) {
    if (isCode(error, "EEXIST")) return false;
    throw error;
  }
}

/** A mark that changes when the holder lives, and who it is; undefined if there is no lock. */
async function stateOf(path: string): Promise<{ mark: string; holder: LockHolder | undefined } | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  if (found === undefined) return undefined;
  const text = await readFile(path, "utf8").catch(() => "");
  return { mark: `${found.ino} ${found.mtimeNs}`, holder: holderIn(text) };
}

function holderIn(text: string): LockHolder | undefined {
  try {
    const { pid, host } = JSON.parse(text.slice(0, 1000)) as Partial<LockHolder>;
    return typeof pid === "number" && Number.isInteger(pid) && pid > 0 && typeof host === "string"
      ? { pid, host }
      : undefined;
  } catch {
    return undefined;
  }
}

/** Of this host one knows at once. */
function isDead(holder: LockHolder | undefined): boolean {
  if (holder?.host !== hostname() || holder.pid === process.pid) return false;
  try {
    process.kill(holder.pid, 0);
    return false;
  } catch (error) {
    return isCode(error, "ESRCH");
  }
}

/** Of several that find it dead, the rename succeeds for one. */
async function setAside(path: string): Promise<void> {
  const aside = temporarySibling(path);
  try {
    await rename(path, aside);
  } catch (error) {
    if (isCode(error, "ENOENT")) return;
    throw error;
  }
  await rm(aside, { force: true });
}
