/** A disk whose renames, flushes and copies take a while, in this process: their order shows who does not wait for them. */
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

interface SlowDisk {
  /** In the order in which they were done: `sync PATH`, `rename FROM TO`, `copy FROM TO`, `remove PATH`. */
  readonly done: string[];
  readonly restore: () => void;
}

/** Slows the disk down until `restore` is called. */
export function slowDisk(delayMs = 10): SlowDisk {
  const { open, rename, copyFile, rm } = promises;
  const done: string[] = [];
  const slow = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    await sleep(delayMs);
    const result = await work();
    done.push(what);
    return result;
  };
  const change = (to: Partial<typeof promises>) => {
    Object.assign(promises, to);
    syncBuiltinESMExports();
  };
  change({
    rename: (from, to) => slow(`rename ${String(from)} ${String(to)}`, () => rename(from, to)),
    copyFile: (from, to, mode) => slow(`copy ${String(from)} ${String(to)}`, () => copyFile(from, to, mode)),
    rm: async (path, options) => {
      await rm(path, options);
      done.push(`remove ${String(path)}`);
    },
    open: async (path, ...more) => {
      const file = await open(path, ...more);
      const sync = file.sync.bind(file);
      file.sync = () => slow(`sync ${String(path)}`, sync);
      return file;
    },
  });
  return { done, restore: () => change({ open, rename, copyFile, rm }) };
}
