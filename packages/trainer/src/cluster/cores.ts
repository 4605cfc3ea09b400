/** Whether a launcher leaves a rank the cores that its workers want: Open MPI pins a process to one by default. */
import { availableParallelism, cpus, hostname } from "node:os";

/** How many cores a process may use, of how many. */
export interface Cores {
  readonly host: string;
  /** That this process may use, of all that the host has. */
  readonly allowed: number;
  readonly cores: number;
}

/** Returns the cores of this process. */
export const coresHere = (): Cores => ({ host: hostname(), allowed: availableParallelism(), cores: cpus().length });

/** What is wrong, by rank, each with what to do. */
export function pinnedRanks(ranks: readonly (Cores & { readonly workers: number })[]): string[] {
  return ranks.flatMap(({ host, allowed, cores, workers }, rank) => {
    if (workers <= allowed && (allowed > 1 || cores === 1)) return [];
    const pinned = `rank ${rank} may use ${allowed} of ${cores} cores of ${host} for ${workers} workers`;
    return `${pinned}: launch with --bind-to none (mpirun) or --cpus-per-task (Slurm)`;
  });
}
