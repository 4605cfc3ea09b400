/** The devices that runs train on: those of this host, joined with those of all others. */
import { backwardLayers, type StepArithmetic } from "@zerogate/core/training";
import { launchOf } from "@zerogate/mpi";
import type { SharedNumbers } from "@zerogate/run-files";
import type { DevicePool } from "@zerogate/workers";
import { coresHere, pinnedRanks } from "../cluster/cores.ts";
import { cellWork } from "../team/cell_work.ts";
import { checkAlike, LOADING_PATIENCE } from "../team/same_everywhere.ts";
import type { Team } from "../team/team.ts";
import { openTeamPool } from "../team/team_pool.ts";
import { idleAdvice } from "./busy.ts";
import type { RunContext } from "./context.ts";
import { jobOf, startDevices } from "./devices.ts";

export interface StartedPool {
  readonly pool: DevicePool;
  readonly team: Team;
  /** What any rank was asked for. */
  readonly asked: Pick<RunContext, "signal" | "saveRequests">;
}

/**
 * Starts a pool with a job for each of the runs, which share what the first of them was given. All ranks run the same engine.
 *
 * @param numbers of each run
 */
export async function startPool(
  runs: readonly RunContext[],
  numbers: readonly SharedNumbers[],
  arithmetic: StepArithmetic,
): Promise<StartedPool> {
  const { config, inputs, view, team, signal, saveRequests } = runs[0] as RunContext;
  const { train, heldOut, model } = inputs;
  const jobs = runs.map((run, n) => jobOf(run.config, run.inputs, (numbers[n] as SharedNumbers).params));
  const maxCells = Math.max(...runs.map((run) => run.inputs.maxCells));
  const starting = startDevices(config, { ...inputs, maxCells }, jobs, view);
  try {
    const own = async () => ({ engine: (await starting).engineName, workers: config.workers, ...coresHere() });
    const hosts = await team.collect("starting workers", own, LOADING_PATIENCE);
    checkAlike(
      team,
      hosts.map(({ engine }) => ({ engine })),
    );
    if (launchOf(process.env) && team.isFirst) for (const pinned of pinnedRanks(hosts)) view.warn(pinned);
    const tokens = { train: train.tokens, validation: heldOut?.tokens };
    const workers = hosts.map((host) => host.workers);
    if (team.isFirst) noteIdleDevices(runs, workers);
    const work = cellWork(model, Math.max(...jobs.map(({ layout }) => backwardLayers(layout))));
    const pool = await starting;
    return {
      team,
      ...openTeamPool({
        team,
        pool,
        workers,
        work,
        asked: { signal, saveRequests },
        jobs,
        tokens,
        maxCells,
        arithmetic,
      }),
    };
  } catch (error) {
    await starting.then(
      (pool) => pool.close(),
      () => {},
    );
    throw error;
  }
}

/** Says at the start of each run, once for all hosts, whether its plan leaves devices idle and what would keep them busy. */
function noteIdleDevices(runs: readonly RunContext[], workers: readonly number[]): void {
  const devices = workers.reduce((sum, count) => sum + count, 0);
  if (devices === 1) return;
  for (const { config, inputs, view } of runs) {
    const advice = idleAdvice(config, inputs, devices);
    if (advice !== undefined) view.note(advice);
  }
}
