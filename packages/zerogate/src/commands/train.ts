/** `zerogate train`: checks everything, then trains; `--dry-run` stops after the checks and prints what would happen. */
import { InputError } from "@zerogate/core";
import type { TrainConfig } from "@zerogate/run-config";
import { resolveConfig } from "@zerogate/run-config";
import { checkUnlocked, type RunLock } from "@zerogate/run-files";
import type { RunResult } from "@zerogate/trainer";
import {
  checkFolderIsFree,
  createRunFolder,
  executeRun,
  firstMissing,
  openAlike,
  openInputs,
  type RunInputs,
  removeEmptyStart,
  scheduleOf,
  shortenWarmup,
  takeBackStart,
  withTeam,
} from "@zerogate/trainer";
import { configFlags } from "../cli/config_flags.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { describePlan, planFacts } from "./dry_run.ts";
import { openLiveView, openRunView } from "./live_view.ts";
import { outcomeOf, printOutcome } from "./outcome.ts";
import { withLock } from "./with_lock.ts";

export interface TrainFlags {
  readonly config?: string;
  readonly preset?: string;
  readonly json?: boolean;
  readonly dryRun?: boolean;
  readonly [key: string]: unknown;
}

export async function trainCommand(flags: TrainFlags, context: CommandContext): Promise<ExitCode> {
  const { config: file, preset, json = false, dryRun = false } = flags;
  const onNote = (note: string) => context.stderr.write(`${note}\n`);
  const config = resolveConfig({ file, preset, flags: configFlags(flags), onNote });
  if (dryRun) return await planOnly(config, json, context);
  return await train(config, json, context, (result) => printOutcome(config.out, result, json, context));
}

/** Checks all that a run checks before its first step, on all hosts, and prints the plan; nothing is written but caches. */
async function planOnly(config: TrainConfig, json: boolean, context: CommandContext): Promise<ExitCode> {
  return await withTeam<ExitCode>(config, context.stderr, async (team) => {
    // The plan is all that there is to say: a reader that left it is no reason to go on.
    const view = team.isFirst ? openLiveView(context, false) : openRunView(context, false, team);
    const plan = async () => {
      await team.fromFirst("the run directory", async () => {
        await checkFolderIsFree(config.out);
        await checkUnlocked(config.out, view.warn);
      });
      const inputs = await openAlike(team, config, (own) => openInputs(own, view.progress));
      const run = roomForWarmup(config, inputs, view.progress.onWarning);
      return planFacts(run.config, run.inputs);
    };
    const facts = await plan().finally(() => view.close());
    if (team.isFirst && json) printJson(context, facts);
    else if (team.isFirst) context.stdout.write(describePlan(facts));
    return 0;
  });
}

/** One new run of all hosts, shown live by the first, which also prints the result, before any rank leaves. */
export async function train(
  config: TrainConfig,
  json: boolean,
  context: CommandContext,
  print: (result: RunResult) => ExitCode,
): Promise<ExitCode> {
  return await withTeam(config, context.stderr, async (team) => {
    const made = await team.fromFirst("the run directory", async () => {
      await checkFolderIsFree(config.out);
      return firstMissing(config.out);
    });
    const start = { isTakenBack: false };
    const view = openRunView(context, json, team);
    const work = async ({ config: fitted, inputs }: NewRun, lock: RunLock) => {
      await team.fromFirst("the run directory", async () => {
        await checkFolderIsFree(config.out); // two may have started at once
        await createRunFolder(fitted);
        view.openRunLog(fitted);
      });
      const running = executeRun(fitted, inputs, undefined, { view, control: context, lock, team });
      return await running.catch(async (error: unknown) => {
        if (team.isFirst && error instanceof InputError) start.isTakenBack = await takeBackStart(config.out, lock);
        throw error;
      });
    };
    const run = async () => {
      const inputs = await openAlike(team, config, (own) => openInputs(own, view.progress));
      const hosts = { team, hostTimeout: config.hostTimeout };
      const started = roomForWarmup(config, inputs, view.warn);
      return await withLock(config.out, view.warn, (lock) => work(started, lock), hosts);
    };
    const closing = async () => {
      try {
        return await run();
      } finally {
        view.close();
        if (start.isTakenBack) await removeEmptyStart(config.out, made);
      }
    };
    return outcomeOf(await closing(), team, print);
  });
}

interface NewRun {
  readonly config: TrainConfig;
  readonly inputs: RunInputs;
}

/** A run that was begun keeps its warm-up; a new one gets one that it has room for. */
function roomForWarmup(config: TrainConfig, inputs: RunInputs, onWarning: (message: string) => void): NewRun {
  const fitted = shortenWarmup(config, inputs.schedule, onWarning);
  const schedule = scheduleOf(fitted, inputs.plan.stepsPerEpoch, inputs.totalSteps);
  return { config: fitted, inputs: { ...inputs, schedule } };
}
