/** `zerogate resume RUN`: goes on from the newest whole checkpoint, to the same bits as if it had never stopped. */
import { configFlags } from "../config/flags.ts";
import type { TrainConfig } from "../config/train_config.ts";
import { openInputs } from "../run/inputs.ts";
import { checkAcceptedFields, openCheckpoint } from "../run/resume.ts";
import { executeRun, type RunResult } from "../run/run.ts";
import { readRunConfig } from "../run/run_folder.ts";
import type { CommandContext, ExitCode } from "./context.ts";
import { openLiveView } from "./live_view.ts";
import { printOutcome } from "./outcome.ts";
import { withLock } from "./with_lock.ts";

export interface ResumeFlags {
  readonly json?: boolean;
  readonly acceptChange?: readonly string[];
  readonly [key: string]: unknown;
}

export async function resumeCommand(runDir: string, flags: ResumeFlags, context: CommandContext): Promise<ExitCode> {
  const { json = false, acceptChange = [] } = flags;
  checkAcceptedFields(acceptChange);
  const config = await readRunConfig(runDir, configFlags(flags));
  const result = await resume(config, acceptChange, json, context);
  return printOutcome(config.out, result, json, context);
}

/** The rest of a run, shown live. */
async function resume(
  config: TrainConfig,
  accept: readonly string[],
  json: boolean,
  context: CommandContext,
): Promise<RunResult> {
  const view = openLiveView(context, json);
  try {
    return await withLock(config.out, view.warn, async (lock) => {
      const inputs = await openInputs(config, view.progress);
      const from = await openCheckpoint(inputs, { config, accept, onWarning: view.warn, onNote: view.note });
      view.openRunLog(config);
      return await executeRun(config, inputs, from, { view, control: context, lock });
    });
  } finally {
    view.close();
  }
}
