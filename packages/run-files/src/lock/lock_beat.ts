/**
 * The heartbeat of a lock, for those who cannot see its process: on another host, or in another container. The writer counts up
 * a number in `lock-N.beat`; a starter watches it by its own clock, so clocks of hosts are never compared. Contents are read
 * through a new open each time, because network file systems may answer everything else from memory.
 */
import { constants, open, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

export interface BeatTimes {
  /** Between two beats. */
  readonly everyMs: number;
  /** A lock that does not beat for so long has no writer any more. */
  readonly deadAfterMs: number;
}

/** Ten beats: a writer whose disk or processor is busy is not taken for dead. */
export const beatTimes: BeatTimes = { everyMs: 1000, deadAfterMs: 10_000 };

export const beatOf = (lock: string): string => `${lock}.beat`;

export interface Heart {
  /** Beats for this lock from now on. */
  beatFor(lock: string): Promise<void>;
  stop(): void;
}

/** A link that somebody put there is not followed (Windows has no such flag). */
const RUNNING = constants.O_WRONLY | (constants.O_NOFOLLOW ?? 0);
const FIRST = RUNNING | constants.O_CREAT | constants.O_TRUNC;

/** What the disk refuses is passed over: a writer that is taken for dead finds out when it confirms its lock. */
export function startHeart({ everyMs }: BeatTimes): Heart {
  let path: string | undefined;
  let count = 0;
  let beating: Promise<void> | undefined;
  const beat = async (flags: number) => {
    if (path === undefined) return;
    const file = await open(path, flags); // RUNNING: one that was taken over is not made again
    try {
      await file.write(`${++count}\n`, 0);
    } finally {
      await file.close();
    }
  };
  const timer = setInterval(() => {
    beating ??= beat(RUNNING)
      .catch(() => {})
      .finally(() => {
        beating = undefined;
      });
  }, everyMs);
  timer.unref();
  return {
    async beatFor(lock) {
      path = beatOf(lock);
      await beat(FIRST).catch(() => {});
    },
    stop: () => clearInterval(timer),
  };
}

const POLL_MS = 200;
/** Shorter waits are not reported: a live writer is found after one beat. */
const TELL_AFTER_BEATS = 2;

export type Beating = "beats" | "still" | "silent" | "changed";

/**
 * Watches a lock: `beats` as soon as it does, `changed` as soon as it is another lock or none, `still` if its beat did not
 * move for `deadAfterMs`, `silent` if it never had one (an older version, or a file system that refused it).
 *
 * @param text of the lock, as it was judged
 * @param onWait called once if it takes longer than a live writer would let wait
 */
export async function watchBeat(
  lock: string,
  text: string,
  { everyMs, deadAfterMs }: BeatTimes,
  onWait: () => void,
): Promise<Beating> {
  const begin = performance.now();
  let first: string | undefined;
  let isTold = false;
  for (;;) {
    if ((await textOf(lock)) !== text) return "changed";
    const now = await textOf(beatOf(lock));
    if (first !== undefined && now !== undefined && now !== first) return "beats";
    first ??= now;
    const waited = performance.now() - begin;
    if (first === undefined && waited > TELL_AFTER_BEATS * everyMs) return "silent";
    if (waited > deadAfterMs) return "still";
    if (!isTold && waited > TELL_AFTER_BEATS * everyMs) {
      isTold = true;
      onWait();
    }
    await sleep(Math.min(POLL_MS, everyMs / 4));
  }
}

/** Undefined if there is no such file. @throws what else the disk says */
async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
