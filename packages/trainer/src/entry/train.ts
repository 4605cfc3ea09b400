/** A new run, from a config to the trained adapter. */
import { InputError } from "@zerogate/core";
import type { TrainConfig } from "@zerogate/run-config";
import { checkUnlocked, type RunLock } from "@zerogate/run-files";
import { openInputs, type RunInputs } from "../run/inputs.ts";
import { firstMissing, removeEmptyStart, takeBackStart } from "../run/refused_start.ts";
import { executeRun } from "../run/run.ts";
import { checkFolderIsFree, createRunFolder } from "../run/run_folder.ts";
import { scheduleOf, shortenWarmup } from "../run/run_length.ts";
import type { RunResult } from "../run/run_result.ts";
import { openAlike } from "../team/same_everywhere.ts";
import { ended, type RunListening, type RunOptions, type RunPlace, withListener } from "./listener.ts";
import { withLock } from "./with_lock.ts";

/** What a run will train on, checked. */
export interface PlannedRun {
  /** With a warm-up that it has room for. */
  readonly config: TrainConfig;
  readonly inputs: RunInputs;
}

/**
 * Trains an adapter in the new folder `config.out`. Nothing is written before all is checked, and what a refused start has made
 * is removed.
 *
 * @param listening hears of phases, steps, checkpoints and warnings.
 * @returns how the run ended, its losses and its adapter's folder; `ending` is "interrupted" once the signal is aborted.
 * @throws InputError (code `input`) for what cannot be used, DamagedError (`damaged`) for files that are not as they were
 *   written; any other error once the run has saved what it had.
 * @example
 * const config = runConfig({ model: "base", data: "alpaca.json", out: "runs/first", steps: 100 });
 * const { adapterFolder } = await train(config, { warn: (message) => log(message) });
 */
export async function train(
  config: TrainConfig,
  listening: RunListening = {},
  options: RunOptions = {},
): Promise<RunResult> {
  let made: string | undefined;
  let isTakenBack = false;
  const work = async (place: RunPlace) => {
    const { team, view } = place;
    made = await team.fromFirst("the run directory", async () => {
      await checkFolderIsFree(config.out);
      return firstMissing(config.out);
    });
    const planned = await openPlan(config, place);
    const locked = async (lock: RunLock) => {
      try {
        return await start(planned, lock, place);
      } catch (error) {
        if (team.isFirst && error instanceof InputError) isTakenBack = await takeBackStart(config.out, lock);
        throw error;
      }
    };
    return await withLock(config.out, view.warn, locked, { team, hostTimeout: config.hostTimeout });
  };
  const cleanUp = async () => {
    if (isTakenBack) await removeEmptyStart(config.out, made);
  };
  return await withListener(config, listening, options, { work, cleanUp, ended });
}

/**
 * Checks all that a run checks before its first step, on all hosts. Nothing is written but caches.
 * @throws InputError for what cannot be used.
 */
export async function planRun(
  config: TrainConfig,
  listening: RunListening = {},
  options: RunOptions = {},
): Promise<PlannedRun & { readonly isFirst: boolean }> {
  const work = async (place: RunPlace) => {
    const { team, view } = place;
    await team.fromFirst("the run directory", async () => {
      await checkFolderIsFree(config.out);
      await checkUnlocked(config.out, view.warn);
    });
    return { ...(await openPlan(config, place)), isFirst: team.isFirst };
  };
  return await withListener(config, listening, options, { work });
}

/** A run that was begun keeps its warm-up; a new one gets one that it has room for. */
async function openPlan(config: TrainConfig, { team, view, signal }: RunPlace): Promise<PlannedRun> {
  const progress = { onPhase: view.phase, onWarning: view.warn, signal };
  const inputs = await openAlike(team, config, (own, find) => openInputs(own, progress, "used", find));
  const fitted = shortenWarmup(config, inputs.schedule, view.warn);
  const schedule = scheduleOf(fitted, inputs.plan.stepsPerEpoch, inputs.totalSteps);
  return { config: { ...fitted, compute: inputs.compute }, inputs: { ...inputs, schedule } };
}

async function start({ config, inputs }: PlannedRun, lock: RunLock, place: RunPlace): Promise<RunResult> {
  const { team, listener } = place;
  await team.fromFirst("the run directory", async () => {
    await checkFolderIsFree(config.out); // two may have started at once
    await createRunFolder(config);
    listener.opened?.(config);
  });
  return await executeRun({ ...place, config, inputs, from: undefined, lock });
}
