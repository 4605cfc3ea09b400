/** `zerogate rewind RUN --to STEP`. */
import { resolve } from "node:path";
import { InputError } from "@zerogate/core";
import { MAX_STEPS, ownCommand } from "@zerogate/run-config";
import { rewind } from "@zerogate/trainer";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { numberFlag } from "./flags.ts";

export interface RewindFlags {
  readonly to: string;
  readonly json?: boolean;
}

export async function rewindCommand(runDir: string, flags: RewindFlags, context: CommandContext): Promise<ExitCode> {
  const problems: string[] = [];
  const step = numberFlag("--to", flags.to, 0, { min: 0, max: MAX_STEPS, whole: true }, problems);
  if (problems.length > 0) throw new InputError("Cannot rewind", problems);
  const { folder, moved } = await rewind(runDir, step, (note) => context.stderr.write(`${note}\n`));
  const resume = ownCommand`resume ${resolve(runDir)}`;
  if (flags.json) printJson(context, { step, folder, moved, resume });
  else {
    const what = folder === undefined ? "nothing came after it" : `what came after it is kept in ${folder}`;
    context.stdout.write(`The run stands at step ${step}; ${what}. Go on with:\n  ${resume}\n`);
  }
  return 0;
}
