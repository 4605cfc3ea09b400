/**
 * Where the lock of a run lies while it works. A run directory that is renamed takes its files with it, and what is opened
 * by name after that would begin a second one under the old name: one run, split in two. The lock is kept open, so the file
 * system distinguishes a folder that was moved (the file still has a name) from one that was removed (it has none).
 */
import { close as closeFd, constants, open as openFd, fstat as statFd } from "node:fs";
import { readlink, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { InputError } from "@zerogate/core";
import { ownCommand } from "@zerogate/run-config";

/** A removal may begin with a rename. */
const REMOVAL_MS = 2000;
const POLL_MS = 100;

export interface OpenedLock {
  /** Keeps this lock open in place of the one before. Never throws: without it a move is taken for a removal. */
  hold(path: string): Promise<void>;
  /** Whether this path is the file that is kept open, by device and inode: a copy of it is not. */
  isAt(path: string): Promise<boolean>;
  /** @throws InputError if the lock, which is not found under its name, still has one: its folder was moved. */
  checkPlace(runDir: string): Promise<void>;
  close(): Promise<void>;
}

/** Plain descriptors: a process that ends without releasing its lock is not warned about a handle that was left open. */
const [open, fstat, close] = [promisify(openFd), promisify(statFd), promisify(closeFd)];

export function openedLock(): OpenedLock {
  let file: number | undefined;
  const release = async () => {
    if (file !== undefined) await close(file).catch(() => {});
    file = undefined;
  };
  const own = async () => (file === undefined ? undefined : await fstat(file).catch(() => undefined));
  return {
    async hold(path) {
      await release();
      file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0), 0o600).catch(() => undefined);
    },
    async isAt(path) {
      const [held, there] = [await own(), await stat(path).catch(() => undefined)];
      return file === undefined || (held?.ino === there?.ino && held?.dev === there?.dev);
    },
    async checkPlace(runDir) {
      for (let waited = 0; waited < REMOVAL_MS; waited += POLL_MS) {
        if (((await own())?.nlink ?? 0) === 0) return;
        await sleep(POLL_MS);
      }
      const now = await readlink(`/proc/self/fd/${file}`).catch(() => undefined);
      const place = now === undefined ? "" : `, to ${dirname(now)}`;
      const advice = `resume it where it is now: ${ownCommand`resume ${now === undefined ? "RUN" : dirname(now)}`}`;
      throw new InputError(
        `Cannot go on writing to the run ${runDir}`,
        `the folder was renamed or moved${place}, and nothing is written under its old name: ${advice}`,
      );
    },
    close: release,
  };
}
