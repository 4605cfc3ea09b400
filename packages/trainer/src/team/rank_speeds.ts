/** How fast the ranks are, as their steps show. */
import type { Team } from "./team.ts";

/** Of a new measurement, in the running mean of a rank's speed. */
const SPEED_WEIGHT = 0.3;

/** Work per millisecond, by rank. */
export interface RankSpeeds {
  /** That of a rank without a measurement is the mean of the others, for each of its workers. */
  now(): number[];
  /** Learns from the milliseconds of a call and the work that each rank did in it. */
  learn(times: readonly number[], works: readonly number[]): void;
}

/** @param workers of each rank */
export function createRankSpeeds(team: Pick<Team, "expect">, workers: readonly number[]): RankSpeeds {
  const rates: (number | undefined)[] = workers.map(() => undefined);
  return {
    now() {
      const known = rates.filter((rate) => rate !== undefined);
      const usual = known.length > 0 ? known.reduce((a, b) => a + b, 0) / known.length : 1;
      return workers.map((count, r) => count * (rates[r] ?? usual));
    },
    learn(times, works) {
      for (const [r, ms] of times.entries()) {
        team.expect(ms);
        const rate = (works[r] ?? 0) / Math.max(ms, 1e-3) / (workers[r] ?? 1);
        const before = rates[r] ?? rate;
        if (rate > 0) rates[r] = before + SPEED_WEIGHT * (rate - before);
      }
    },
  };
}
