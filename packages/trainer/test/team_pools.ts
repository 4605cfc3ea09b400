/** Two ranks over pools of this process, as each of them sees the team's. */
import { plainArithmetic } from "@zerogate/core/training";
import type { DeviceJob } from "@zerogate/workers";
import { only, open, setup } from "../../workers/test/faulty_pool.ts";
import { openTeamPool } from "../src/team/team_pool.ts";
import { localTeams } from "./local_ranks.ts";

export type Pool = Awaited<ReturnType<typeof open>>;

export const tokensOf = (samples: readonly number[]) => {
  const { offsets } = setup.tokens.train;
  return samples.reduce((sum, sample) => sum + (offsets[sample + 1] ?? 0) - (offsets[sample] ?? 0), 0);
};

/** Two ranks over these pools, as each of them sees the team's; the jobs of a rank may differ. */
export function ranksOver(pools: readonly Pool[], jobsOf: (rank: number) => readonly DeviceJob[] = () => [only]) {
  const local = localTeams(pools.length);
  const stops = pools.map(() => new AbortController());
  const saves = pools.map(() => ({ count: 0 }));
  const joined = local.teams.map((team, rank) =>
    openTeamPool({
      team,
      pool: pools[rank] as Pool,
      workers: pools.map(() => 1),
      work: (_, samples) => tokensOf(samples),
      asked: { signal: (stops[rank] as AbortController).signal, saveRequests: saves[rank] as { count: number } },
      jobs: jobsOf(rank),
      tokens: { train: setup.tokens.train },
      maxCells: 8,
      arithmetic: plainArithmetic,
    }),
  );
  const onAll = <T>(work: (pool: Pool, rank: number) => Promise<T>) =>
    Promise.all(joined.map(({ pool }, rank) => work(pool, rank)));
  return { ...local, stops, saves, joined, onAll };
}

export const twoRanks = async () => ranksOver([await open(1), await open(1)]);
