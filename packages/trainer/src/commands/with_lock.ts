/** What a command does as the only writer of a run directory. */
import { lockRun, type RunLock } from "../run/lock.ts";
import { noLock } from "../team/other_ranks.ts";
import type { Team } from "../team/team.ts";

/**
 * Runs `work` under the lock of `runDir`, which rank 0 of a team holds for all.
 * @throws InputError that names who else is writing.
 */
export async function withLock<T>(
  runDir: string,
  onStale: (sentence: string) => void,
  work: (lock: RunLock) => Promise<T>,
  team?: Team,
): Promise<T> {
  const acquire = () => lockRun(runDir, onStale);
  const lock = team
    ? await team.agree("the lock of the run", async () => (team.isFirst ? await acquire() : noLock))
    : await acquire();
  try {
    return await work(lock);
  } finally {
    await lock.release();
  }
}
