/** `zerogate train`: checks everything, then trains; `--dry-run` stops after the checks and prints what would happen. */
import type { TrainConfig } from "@zerogate/run-config";
import { planRun, type RunResult, train } from "@zerogate/trainer";
import { configFlags } from "../cli/config_flags.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { describePlan, planFacts } from "./dry_run.ts";
import { resolveNamed } from "./hub_names.ts";
import { openPlanView, openRunView } from "./live_view.ts";
import { exitCodeOf, printOutcome } from "./outcome.ts";
import { controlOf } from "./run_control.ts";

export interface TrainFlags {
  readonly config?: string;
  readonly preset?: string;
  readonly json?: boolean;
  readonly dryRun?: boolean;
  readonly download?: boolean;
  readonly [key: string]: unknown;
}

export async function trainCommand(flags: TrainFlags, context: CommandContext): Promise<ExitCode> {
  const { config: file, preset, json = false, dryRun = false, download } = flags;
  const onNote = (note: string) => context.stderr.write(`${note}\n`);
  const config = await resolveNamed({ file, preset, flags: configFlags(flags), onNote }, download, context);
  if (dryRun) return await planOnly(config, json, context);
  return await trainShown(config, json, context, (result) => printOutcome(config.out, result, json, context));
}

/** Prints what `planRun` finds; the first of several processes does. */
async function planOnly(config: TrainConfig, json: boolean, context: CommandContext): Promise<ExitCode> {
  const { isFirst, ...planned } = await planRun(config, openPlanView(context), controlOf(context));
  const facts = planFacts(planned.config, planned.inputs);
  if (isFirst && json) printJson(context, facts);
  else if (isFirst) context.stdout.write(describePlan(facts));
  return 0;
}

/** A new run, shown live by the first of several processes, which also prints the result, before any of them leaves. */
export async function trainShown(
  config: TrainConfig,
  json: boolean,
  context: CommandContext,
  print: (result: RunResult) => void,
): Promise<ExitCode> {
  return exitCodeOf(await train(config, openRunView(context, json, print), controlOf(context)));
}
