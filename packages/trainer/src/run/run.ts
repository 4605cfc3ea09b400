/**
 * Training runs from checked inputs to finished adapters: opens the devices, runs the loops, keeps metrics and checkpoints,
 * and leaves `RUN/adapter` (a PEFT folder) and `RUN/report.html`.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { reason } from "@zerogate/core/node";
import type { StepArithmetic } from "@zerogate/core/training";
import { steadyMemory } from "@zerogate/engine-cpu";
import {
  type CheckpointWriter,
  createTrouble,
  openCheckpointWriter,
  type SharedNumbers,
  trainedLayout,
  workerLayout,
} from "@zerogate/run-files";
import { noRecords, noWriter } from "../team/other_ranks.ts";
import { ReportedError } from "../team/reported_error.ts";
import type { Job, RunContext } from "./context.ts";
import { describeCounts } from "./data_counts.ts";
import { finish } from "./finish.ts";
import { goBack, skipRange } from "./go_back.ts";
import { acceptEngine } from "./resume.ts";
import { openRounds, type Seat } from "./rounds.ts";
import { createRunFolder } from "./run_folder.ts";
import type { RunResult } from "./run_result.ts";
import { runSession } from "./session.ts";
import type { Ending } from "./standing.ts";
import { startPool } from "./start_pool.ts";
import { stepArithmetic } from "./step_arithmetic.ts";
import { optimizerOptions, sharedNumbers, standingAfter, takeUp } from "./training_state.ts";

/** Trains one adapter. */
export async function executeRun(run: RunContext): Promise<RunResult> {
  const [result] = await executeRuns([run]);
  if (!result) throw new TypeError("Cannot return the result of a run: there is none");
  return result;
}

/**
 * Trains several adapters on one base, in one pool of devices: one run each, with its own config, directory, lock and view.
 * Each comes out as if it had been trained alone. What ends one by an error ends all; the others save their state first.
 *
 * @throws InputError if the runs do not share base, data and team.
 */
export async function executeRuns(runs: readonly RunContext[]): Promise<RunResult[]> {
  const begin = performance.now();
  checkShared(runs);
  steadyMemory(); // before the threads of workers have heaps of their own
  for (const { inputs, view } of runs) for (const counts of inputs.counts) view.note(describeCounts(counts), counts);
  const numbers = runs.map(({ config, inputs: { layout } }) =>
    sharedNumbers(layout.length, trainedLayout(config, layout).length),
  );
  const arithmetic = stepArithmetic();
  const { pool, team, asked } = await startPool(runs, numbers, arithmetic);
  const failure = new AbortController();
  const signal = AbortSignal.any([asked.signal, failure.signal]);
  const jobs: Job[] = [];
  try {
    const seats = openRounds(pool, team, runs.length);
    for (const [n, run] of runs.entries()) {
      const seat = seats[n] as Seat;
      jobs.push(
        await reporting(run, () =>
          openJob({ ...run, ...asked, signal }, seat, numbers[n] as SharedNumbers, arithmetic),
        ),
      );
    }
    const train = async (job: Job, n: number) => {
      try {
        return await reporting(runs[n] as RunContext, () => runWithRollbacks(job));
      } catch (error) {
        failure.abort(error);
        throw error;
      } finally {
        seats[n]?.leave();
      }
    };
    const endings = await Promise.allSettled(jobs.map(train));
    if (failure.signal.aborted) throw failure.signal.reason;
    const results: RunResult[] = [];
    for (const [n, job] of jobs.entries()) {
      const ended = endings[n] as PromiseFulfilledResult<Ending>;
      results.push(await reporting(runs[n] as RunContext, () => conclude(job, ended.value, performance.now() - begin)));
    }
    return results;
  } finally {
    await Promise.all([pool.close(), ...jobs.map(({ writer }) => writer.close())]);
  }
}

function checkShared([first, ...others]: readonly RunContext[]): void {
  for (const { config, inputs, team } of others) {
    const problems = (["base", "data"] as const)
      .filter((name) => inputs.hashes[name] !== first?.inputs.hashes[name])
      .map((name) => `the ${name} of ${config.out} is another one than that of ${first?.config.out}`);
    if (team !== first?.team) problems.push(`${config.out} has another team than ${first?.config.out}`);
    if (problems.length > 0) throw new InputError("Cannot train together", problems);
  }
}

/** Does a part of a run; the error that ends it is in its log. */
async function reporting<T>(run: RunContext, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const cause = error instanceof ReportedError ? error.cause : error;
    if (cause !== run.signal.reason) run.view.failed(reason(cause));
    throw error;
  }
}

/** @param given with the signal of all ranks and jobs. */
async function openJob(
  given: RunContext,
  seat: Seat,
  numbers: SharedNumbers,
  arithmetic: StepArithmetic,
): Promise<Job> {
  const run = { ...given, team: seat.team };
  const { config, inputs, from, view, team } = run;
  // Before the metrics are opened, which takes out the lines of steps that are to be done again.
  const engine = from
    ? await given.team.fromFirst("comparing engines", () => acceptEngine(config, from, seat.pool.engineName, view.note))
    : [];
  const accepted = [...(from?.accepted ?? []), ...engine];
  const writer = team.isFirst ? openWriter(run, numbers) : noWriter;
  return {
    id: config.out,
    run,
    pool: seat.pool,
    writer,
    numbers,
    optimizer: optimizerOptions(config, trainedLayout(config, inputs.layout).table),
    arithmetic,
    gradient: new Float32Array(workerLayout(config, inputs.layout).length),
    accepted,
    floor: accepted.length > 0 ? (from?.checkpoint?.state.step ?? 0) : (from?.floor ?? 0),
    moments: takeUp(numbers, from?.checkpoint, inputs),
    standing: standingAfter(from?.checkpoint),
    isNew: from?.checkpoint === undefined,
    records: noRecords,
    rollbacks: 0,
  };
}

function openWriter({ config, lock, view }: RunContext, numbers: SharedNumbers): CheckpointWriter {
  return openCheckpointWriter({
    numbers,
    trouble: createTrouble("The checkpoint", view.warn),
    beforeWrite: async () => {
      await lock.confirm();
      if (!existsSync(join(config.out, "config.json"))) await createRunFolder(config); // the folder has vanished
    },
    onSaved: view.checkpoint,
  });
}

/** Sessions of the loop, one after each rollback, until the run is at its end and all of it is on disk. */
async function runWithRollbacks(job: Job): Promise<Ending> {
  const { run, writer, floor } = job;
  const { config, inputs, view, team } = run;
  await writer.ready;
  let from = run.from?.checkpoint;
  for (; ; job.rollbacks++) {
    const ending = await runSession(job, from);
    if (typeof ending === "string") return ending;
    await writer.forget();
    from = await team.fromFirst("going back", () => goBack(config.out, inputs.model, ending.to, view.warn));
    if ((from?.state.step ?? 0) < floor) {
      throw new Error(
        `Cannot roll back to step ${ending.to}: its checkpoint is gone, and before it other settings held`,
      );
    }
    job.standing = standingAfter(from, skipRange(job.standing.skipped, ending));
  }
}

/** What is left to do when the loops of all jobs have ended. */
async function conclude(job: Job, ending: Ending, durationMs: number): Promise<RunResult> {
  const { step: steps, best } = job.standing;
  const summary = { ending, steps, best, durationMs };
  if (ending === "interrupted") return { ...summary, samples: [], unmoved: [] };
  return { ...summary, ...(await finish(job, durationMs)) };
}
