/** Work as the only writer of a run directory. */
import { beatTimes, lockRun, type RunLock } from "@zerogate/run-files";
import { noLock } from "../team/other_ranks.ts";
import type { Team } from "../team/team.ts";

/**
 * Runs `work` under the lock of `runDir`, which rank 0 of a team holds for all.
 * @throws InputError that names who else is writing.
 */
export async function withLock<T>(
  runDir: string,
  onNote: (sentence: string) => void,
  work: (lock: RunLock) => Promise<T>,
  hosts?: { readonly team: Team; readonly hostTimeout: number },
): Promise<T> {
  const acquire = () => lockRun(runDir, onNote);
  const ofTeam = async ({ team, hostTimeout }: NonNullable<typeof hosts>) => {
    const limitFactor = 1 + beatTimes.deadAfterMs / 1000 / hostTimeout; // while rank 0 watches a lock of another host
    return await team.agree("the lock of the run", async () => (team.isFirst ? await acquire() : noLock), limitFactor);
  };
  const lock = hosts ? await ofTeam(hosts) : await acquire();
  try {
    return await work(lock);
  } finally {
    await lock.release();
  }
}
