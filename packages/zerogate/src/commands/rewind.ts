/** `zerogate rewind RUN --to STEP`. */
import { InputError } from "@zerogate/core";
import { MAX_STEPS, ownCommand } from "@zerogate/run-config";
import { readRunConfig, rewindRun } from "@zerogate/trainer";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { numberFlag } from "./flags.ts";
import { withLock } from "./with_lock.ts";

export interface RewindFlags {
  readonly to: string;
  readonly json?: boolean;
}

export async function rewindCommand(runDir: string, flags: RewindFlags, context: CommandContext): Promise<ExitCode> {
  const problems: string[] = [];
  const step = numberFlag("--to", flags.to, 0, { min: 0, max: MAX_STEPS, whole: true }, problems);
  if (problems.length > 0) throw new InputError("Cannot rewind", problems);
  const { out } = await readRunConfig(runDir, {});
  const say = (sentence: string) => context.stderr.write(`${sentence}\n`);
  const { folder, moved } = await withLock(out, say, () => rewindRun(out, step));
  const resume = ownCommand`resume ${out}`;
  if (flags.json) printJson(context, { step, folder, moved, resume });
  else {
    const what = folder === undefined ? "nothing came after it" : `what came after it is kept in ${folder}`;
    context.stdout.write(`The run stands at step ${step}; ${what}. Go on with:\n  ${resume}\n`);
  }
  return 0;
}
