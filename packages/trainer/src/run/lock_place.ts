/**
 * Where the lock of a run lies while it works. A run directory that is renamed takes its files with it, and what is opened
 * by name after that would begin a second one under the old name: one run, split in two. The lock is kept open, so the file
 * system tells a folder that was moved (the file still has a name) from one that was removed (it has none).
 */
import { constants, type FileHandle, open, readlink, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { InputError } from "@zerogate/core";
import { ownCommand } from "../own_command.ts";

/** A removal may begin with a rename. */
const REMOVAL_MS = 2000;
const POLL_MS = 100;

export interface OpenedLock {
  /** Keeps this lock open in place of the one before. Never throws: without it a move is taken for a removal. */
  hold(path: string): Promise<void>;
  /** Whether this path is the file that is kept open, by device and inode: a copy of it is not. */
  isAt(path: string): Promise<boolean>;
  /** @throws InputError where the lock, which is not found under its name, still has one: its folder was moved. */
  checkPlace(runDir: string): Promise<void>;
  close(): Promise<void>;
}

export function openedLock(): OpenedLock {
  let file: FileHandle | undefined;
  const close = async () => {
    await file?.close().catch(() => {});
    file = undefined;
  };
  const hasName = async () => ((await file?.stat().catch(() => undefined))?.nlink ?? 0) > 0;
  return {
    async hold(path) {
      await close();
      file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)).catch(() => undefined);
    },
    async isAt(path) {
      const [own, there] = await Promise.all([file?.stat(), stat(path)]).catch(() => []);
      return file === undefined || (own?.ino === there?.ino && own?.dev === there?.dev);
    },
    async checkPlace(runDir) {
      for (let waited = 0; waited < REMOVAL_MS; waited += POLL_MS) {
        if (!(await hasName())) return;
        await sleep(POLL_MS);
      }
      const now = file && (await readlink(`/proc/self/fd/${file.fd}`).catch(() => undefined));
      const place = now === undefined ? "" : `, to ${dirname(now)}`;
      const advice = `resume it where it is now: ${ownCommand`resume ${now === undefined ? "RUN" : dirname(now)}`}`;
      throw new InputError(
        `Cannot go on writing to the run ${runDir}`,
        `the folder was renamed or moved${place}, and nothing is written under its old name: ${advice}`,
      );
    },
    close,
  };
}
