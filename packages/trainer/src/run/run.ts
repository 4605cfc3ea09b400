/**
 * A training run from checked inputs to the finished adapter: opens the devices, runs the loop, keeps metrics and checkpoints,
 * and leaves `RUN/adapter` (a PEFT folder) and `RUN/report.html`.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { backwardLayers } from "@zerogate/core";
import { reason } from "@zerogate/core/node";
import { steadyMemory } from "@zerogate/engine-cpu";
import { launchOf } from "@zerogate/mpi";
import type { TrainConfig } from "@zerogate/run-config";
import type { RunLock } from "@zerogate/run-files";
import { createTrouble, openCheckpointWriter } from "@zerogate/run-files";
import type { DevicePool } from "@zerogate/workers";
import { coresHere, pinnedRanks } from "../cluster/cores.ts";
import { cellWork } from "../team/cell_work.ts";
import { noWriter } from "../team/other_ranks.ts";
import { ReportedError } from "../team/reported_error.ts";
import { checkAlike, LOADING_PATIENCE } from "../team/same_everywhere.ts";
import type { Team } from "../team/team.ts";
import { openTeamPool } from "../team/team_pool.ts";
import type { AcceptedChange } from "./accepted.ts";
import { describeCounts } from "./data_counts.ts";
import { startDevices } from "./devices.ts";
import { finish } from "./finish.ts";
import { goBack, voidRange } from "./go_back.ts";
import type { RunInputs } from "./inputs.ts";
import type { Ending, RunControl, Standing } from "./loop.ts";
import { acceptEngine, type ResumePoint } from "./resume.ts";
import { createRunFolder } from "./run_folder.ts";
import type { Running, RunResult } from "./running.ts";
import { runSession } from "./session.ts";
import { sharedNumbers } from "./training_state.ts";
import type { RunView } from "./view.ts";

/** What a run is given by its command. */
export interface RunContext {
  readonly view: RunView;
  readonly control: RunControl;
  readonly lock: RunLock;
  readonly team: Team;
}

/**
 * @param from the checkpoint to go on from; none for a new run.
 * @param lock of this process on the run directory; the caller releases it.
 */
export async function executeRun(
  config: TrainConfig,
  inputs: RunInputs,
  from: ResumePoint | undefined,
  context: RunContext,
): Promise<RunResult> {
  const { view, lock, team } = context;
  const begin = performance.now();
  steadyMemory(); // before the threads of workers have heaps of their own
  for (const counts of inputs.counts) view.note(describeCounts(counts), counts);
  const numbers = sharedNumbers(inputs.layout.length);
  const { pool, control } = await startTeam(config, inputs, numbers.params, context);
  const openWriter = () =>
    openCheckpointWriter({
      numbers,
      trouble: createTrouble("The checkpoint", view.warn),
      beforeWrite: async () => {
        await lock.confirm();
        if (!existsSync(join(config.out, "config.json"))) await createRunFolder(config); // the folder has vanished
      },
      onSaved: view.checkpoint,
    });
  const writer = team.isFirst ? openWriter() : noWriter;
  try {
    // Before the metrics are opened, which takes out the lines of steps that are to be done again.
    const engine = from
      ? await team.fromFirst("comparing engines", () => acceptEngine(config, from, pool.engineName, view.note))
      : [];
    const accepted = [...(from?.accepted ?? []), ...engine];
    await writer.ready;
    const running = { config, inputs, numbers, pool, writer, view, control, team, lock };
    const { ending, standing } = await runWithRollbacks(running, from, accepted);
    const durationMs = performance.now() - begin;
    const summary = { ending, steps: standing.step, best: standing.best, durationMs };
    if (ending === "interrupted") return { ...summary, samples: [], unmoved: [] };
    return { ...summary, ...(await finish(running, standing, durationMs)) };
  } catch (error) {
    const cause = error instanceof ReportedError ? error.cause : error;
    if (cause !== context.control.signal.reason) view.failed(reason(cause));
    throw error;
  } finally {
    await Promise.all([pool.close(), writer.close()]);
  }
}

/** The devices of this host, joined with those of all others, which run the same engine. */
async function startTeam(
  config: TrainConfig,
  inputs: RunInputs,
  params: Float32Array,
  { view, control, team }: RunContext,
): Promise<{ pool: DevicePool; control: RunControl }> {
  const jobs = [{ id: config.out, layout: inputs.layout, params }];
  const starting = startDevices(config, inputs, jobs, view);
  try {
    const own = async () => ({ engine: (await starting).engineName, workers: config.workers, ...coresHere() });
    const hosts = await team.collect("starting workers", own, LOADING_PATIENCE);
    const engines = hosts.map(({ engine }) => ({ engine }));
    checkAlike(team, engines);
    if (launchOf(process.env) && team.isFirst) for (const pinned of pinnedRanks(hosts)) view.warn(pinned);
    const { train, heldOut, maxCells } = inputs;
    const tokens = { train: train.tokens, validation: heldOut?.tokens };
    const workers = hosts.map((host) => host.workers);
    const work = cellWork(inputs.model, backwardLayers(inputs.layout));
    return openTeamPool({ team, pool: await starting, workers, work, control, jobs, tokens, maxCells });
  } catch (error) {
    await starting.then(
      (pool) => pool.close(),
      () => {},
    );
    throw error;
  }
}

/** Sessions of the loop, one after each rollback, until the run is at its end and all of it is on disk. */
async function runWithRollbacks(
  running: Running,
  from: ResumePoint | undefined,
  accepted: readonly AcceptedChange[],
): Promise<{ ending: Ending; standing: Standing }> {
  const { config, inputs, writer, view, team } = running;
  let start = from?.checkpoint;
  let voided = start?.state.voided ?? [];
  const floor = accepted.length > 0 ? (start?.state.step ?? 0) : (from?.floor ?? 0);
  for (let rollbacks = 0; ; rollbacks++) {
    const { ending, standing } = await runSession(running, { from: start, accepted, voided, rollbacks, floor });
    if (typeof ending === "string") return { ending, standing };
    await writer.forget();
    start = await team.fromFirst("going back", () => goBack(config.out, inputs.model, ending.to, view.warn));
    if ((start?.state.step ?? 0) < floor) {
      throw new Error(
        `Cannot roll back to step ${ending.to}: its checkpoint is gone, and before it other settings held`,
      );
    }
    voided = voidRange(standing.voided, ending);
  }
}
