/** `zerogate resume RUN`: goes on from the newest whole checkpoint, to the same bits as if it had never stopped. */
import { resolve } from "node:path";
import { resume } from "@zerogate/trainer";
import { configFlags } from "../cli/config_flags.ts";
import type { CommandContext, ExitCode } from "./context.ts";
import { openRunView } from "./live_view.ts";
import { exitCodeOf, printOutcome } from "./outcome.ts";
import { controlOf } from "./run_control.ts";

export interface ResumeFlags {
  readonly json?: boolean;
  readonly acceptChange?: readonly string[];
  readonly [key: string]: unknown;
}

export async function resumeCommand(runDir: string, flags: ResumeFlags, context: CommandContext): Promise<ExitCode> {
  const { json = false, acceptChange: accept = [] } = flags;
  const view = openRunView(context, json, (result) => printOutcome(resolve(runDir), result, json, context));
  return exitCodeOf(await resume(runDir, configFlags(flags), view, { ...controlOf(context), accept }));
}
