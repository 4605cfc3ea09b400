/** `zerogate verify`: whether a run is what it claims to be, or an adapter what the real PEFT makes of it. */
import { InputError } from "@zerogate/core";
import type { CommandContext, ExitCode } from "./context.ts";
import { type VerifyPeftFlags, verifyAgainstPeft } from "./verify_peft.ts";
import { type VerifyRunFlags, verifyRunCommand } from "./verify_run.ts";

export interface VerifyFlags extends VerifyRunFlags, VerifyPeftFlags {
  /** With what, instead of a run with itself: `peft`. */
  readonly against?: string;
}

export async function verifyCommand(
  run: string | undefined,
  flags: VerifyFlags,
  context: CommandContext,
): Promise<ExitCode> {
  const { against } = flags;
  if (against === undefined && run !== undefined) return await verifyRunCommand(run, flags, context);
  if (against === undefined || run !== undefined) {
    throw new InputError("Cannot verify", "either a RUN or --against peft is needed, not both");
  }
  if (against !== "peft") throw new InputError("Cannot verify", `--against is "${against}", expected peft`);
  return await verifyAgainstPeft(flags, context);
}
