/** `zerogate resume RUN`: goes on from the newest whole checkpoint, to the same bits as if it had never stopped. */
import { configFlags } from "../config/flags.ts";
import { openInputs } from "../run/inputs.ts";
import { openCheckpoint } from "../run/resume.ts";
import { executeRun } from "../run/run.ts";
import { readRunConfig } from "../run/run_folder.ts";
import type { CommandContext, ExitCode } from "./context.ts";
import { openLiveView } from "./live_view.ts";
import { printOutcome } from "./outcome.ts";

export interface ResumeFlags {
  readonly json?: boolean;
  readonly [key: string]: unknown;
}

export async function resumeCommand(runDir: string, flags: ResumeFlags, context: CommandContext): Promise<ExitCode> {
  const { json = false } = flags;
  const config = await readRunConfig(runDir, configFlags(flags));
  const view = openLiveView(context, json);
  try {
    const inputs = await openInputs(config, view.progress);
    const checkpoint = await openCheckpoint(config.out, inputs, view.progress.onWarning);
    view.openRunLog(config);
    const result = await executeRun(config, inputs, checkpoint, view, context.signal);
    view.close();
    return printOutcome(config.out, result, json, context);
  } finally {
    view.close();
  }
}
