/** What a command does as the only writer of a run directory. */
import { lockRun, type RunLock } from "../run/lock.ts";

/** Runs `work` under the lock of `runDir`. @throws InputError that names who else is writing. */
export async function withLock<T>(
  runDir: string,
  onStale: (sentence: string) => void,
  work: (lock: RunLock) => Promise<T>,
): Promise<T> {
  const lock = await lockRun(runDir, onStale);
  try {
    return await work(lock);
  } finally {
    await lock.release();
  }
}
