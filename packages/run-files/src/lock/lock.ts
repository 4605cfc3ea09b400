/**
 * One writer per run directory. The file `lock-N` with the highest N names the process that writes, or wrote last: a process with its
 * start time, host and boot. `lock-N.free` is one that ended well. Whether that process still runs is seen at once on its own
 * host; elsewhere by its heartbeat (`lock_beat.ts`).
 *
 * Taking over is safe among any number of starters: one that finds N free or dead makes `lock-(N+1)`, which the file system
 * gives to one of them only, and then looks again: a slow one finds a higher N, or that its own N was taken and freed in
 * between, and starts over. N never falls, because only files below the highest are removed. (A single file that is removed and
 * made anew is not safe: a slow starter would remove the lock of a quick one.)
 */
import { link, open, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { makeFolder, removeEntry, temporarySibling, writeNewFile } from "@zerogate/core/node";
import { type BeatTimes, beatOf, beatTimes, startHeart } from "./lock_beat.ts";
import { type Asker, judge, nameOf } from "./lock_judge.ts";
import { openedLock } from "./lock_place.ts";
import { type LockRecord, ownRecord, readRecord } from "./lock_record.ts";

const namePattern = /^lock-([1-9]\d{0,14})(\.free|\.beat)?$/;

/** The right to write to a run directory, held by one process. */
export interface RunLock {
  /**
   * Throws if another process has taken the run over. What else is wrong with folder or disk is not its business, so it is
   * cheap enough for every step: one small file is read.
   */
  check(): Promise<void>;
  /** Checks the same reliably, before something is replaced; makes the lock again if the folder vanished. */
  confirm(): Promise<void>;
  /** Lets others write. Never throws: a lock that stays is found dead. */
  release(): Promise<void>;
}

/**
 * Makes this process the only writer of `runDir`, which is made if it is missing.
 *
 * @param tell gets a sentence when the lock of a dead process is taken over, and if finding out takes a while.
 * @throws InputError that names the process if another one is writing, or if that cannot be known.
 */
export async function lockRun(
  runDir: string,
  tell: (sentence: string) => void,
  times: BeatTimes = beatTimes,
): Promise<RunLock> {
  const own = await ownRecord();
  const starter: Starter = { own, text: `${JSON.stringify(own)}\n`, tell, times };
  let held = await acquire(runDir, starter, undefined);
  const opened = openedLock();
  await opened.hold(held.path);
  const heart = startHeart(times);
  await heart.beatFor(held.path);
  /** In a folder that vanished another process may have begun with the same number. */
  const isOwn = async () =>
    (await readFile(held.path, "utf8").catch(() => "")) === starter.text && (await opened.isAt(held.path));
  const makeSure = async () => {
    const newest = await newestLock(runDir);
    if (newest?.path === held.path && (await isOwn())) return;
    if (newest === undefined || newest.number <= held.number) await opened.checkPlace(runDir);
    held = await acquire(runDir, starter, held);
    await opened.hold(held.path);
    await heart.beatFor(held.path);
  };
  /** One after the other: to a second caller, the lock that the first makes again would be another process's, or a moved one. */
  let turn: Promise<void> = Promise.resolve();
  const inTurn = (work: () => Promise<void>) => {
    const done = turn.then(work);
    turn = done.catch(() => {});
    return done;
  };
  return {
    async check() {
      if (await isOwn()) return;
      await inTurn(async () => {
        if (await isOwn()) return;
        const newest = await newestLock(runDir).catch(() => undefined);
        if (!newest) return await opened.checkPlace(runDir); // the folder vanished, or the disk refuses
        await makeSure().catch((error: unknown) => {
          if (error instanceof InputError) throw error;
        });
      });
    },
    confirm: () => inTurn(makeSure),
    release: () =>
      inTurn(async () => {
        heart.stop();
        const isHeld = await isOwn();
        await opened.close();
        if (!isHeld) return;
        await rename(held.path, `${held.path}.free`).catch(() => {});
        await removeEntry(beatOf(held.path)).catch(() => {});
      }),
  };
}

/** @throws InputError as `lockRun` would; nothing is made or written. */
export async function checkUnlocked(runDir: string, tell: (sentence: string) => void): Promise<void> {
  const writer = await findWriter(runDir, tell);
  if ("problem" in writer) throw new InputError(`Cannot write to the run ${runDir}`, writer.problem);
}

/** The process that writes to a run, or wrote last. */
export type Writer =
  /** Nobody ever did. */
  | { readonly kind: "none" }
  /** It ended and said so. */
  | { readonly kind: "ended"; readonly record: LockRecord | undefined }
  /** It ended without releasing it: killed, or with its machine. */
  | { readonly kind: "dead"; readonly record: LockRecord | undefined }
  | { readonly kind: "alive" | "unknown"; readonly record: LockRecord | undefined; readonly problem: string };

/**
 * Finds the process that writes to a run; makes and writes nothing.
 * @param tell gets a sentence when finding out takes a while.
 */
export async function findWriter(runDir: string, tell: (sentence: string) => void): Promise<Writer> {
  const newest = await newestLock(runDir);
  if (!newest) return { kind: "none" };
  const { record } = await readRecord(newest.path);
  if (newest.isFree) return { kind: "ended", record };
  const state = await judge(newest.path, { own: await ownRecord(), tell, times: beatTimes });
  if (state.kind === "gone") return { kind: "ended", record };
  return state.kind === "dead" ? { kind: "dead", record } : { ...state, record };
}

/** Whether a name in a run directory belongs to its lock. */
export function isLockName(name: string): boolean {
  return namePattern.test(name) || /^\.lock-.*\.tmp$/.test(name);
}

/** The process that wants the lock, and how it finds out about others. */
interface Starter extends Asker {
  readonly text: string;
}

/** Makes a lock. @param lost the one that this process held before: a later holder has the run */
async function acquire(runDir: string, starter: Starter, lost: LockFile | undefined): Promise<LockFile> {
  await makeFolder(runDir);
  const said = new Set<number>();
  for (;;) {
    const newest = await newestLock(runDir);
    if (newest && lost && (newest.number > lost.number || newest.isFree)) throw await lostTo(runDir, newest);
    if (newest && !newest.isFree) {
      const state = await judge(newest.path, starter);
      if (state.kind === "gone") continue;
      if (state.kind !== "dead") throw new InputError(`Cannot write to the run ${runDir}`, state.problem);
      if (!said.has(newest.number)) starter.tell(state.sentence);
      said.add(newest.number);
    }
    const number = (newest?.number ?? 0) + 1;
    const path = join(runDir, `lock-${number}`);
    if (!(await createLock(path, starter.text))) continue;
    const names = await lockFiles(runDir);
    if (names.some((other) => !other.isBeat && (other.number > number || (other.number === number && other.isFree)))) {
      await removeEntry(path);
      continue;
    }
    for (const older of names) if (older.number < number) await removeEntry(older.path);
    return { path, number, isFree: false, isBeat: false };
  }
}

async function lostTo(runDir: string, newest: LockFile): Promise<InputError> {
  const { record } = await readRecord(newest.path);
  const who = record ? nameOf(record) : "another process";
  const has = newest.isFree ? "has written" : "is writing";
  const since = "this process did not answer for a while, and its lock was taken over";
  return new InputError(`Cannot go on writing to the run ${runDir}`, `${who}, ${has} to it: ${since}`);
}

interface LockFile {
  readonly path: string;
  readonly number: number;
  readonly isFree: boolean;
  /** The heartbeat of a lock, not one itself. */
  readonly isBeat: boolean;
}

async function lockFiles(runDir: string): Promise<LockFile[]> {
  const names = await readdir(runDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  return names.flatMap((name) => {
    const [, number, kind] = namePattern.exec(name) ?? [];
    if (number === undefined) return [];
    return [{ path: join(runDir, name), number: Number(number), isFree: kind === ".free", isBeat: kind === ".beat" }];
  });
}

/** If a slow starter made N again, the free one counts: the other is about to go. */
async function newestLock(runDir: string): Promise<LockFile | undefined> {
  const locks = (await lockFiles(runDir)).filter(({ isBeat }) => !isBeat);
  return locks.toSorted((a, b) => b.number - a.number || Number(b.isFree) - Number(a.isFree))[0];
}

/** Makes the file with its text in one step; false if it exists. */
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
