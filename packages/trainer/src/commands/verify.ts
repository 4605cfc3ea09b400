/** `zerogate verify`: checks numbers against somebody else's. */
import { InputError } from "@zerogate/core";
import type { CommandContext, ExitCode } from "./context.ts";
import { type VerifyPeftFlags, verifyAgainstPeft } from "./verify_peft.ts";

export interface VerifyFlags extends VerifyPeftFlags {
  /** With what: `peft`. */
  readonly against: string;
}

export async function verifyCommand({ against, ...flags }: VerifyFlags, context: CommandContext): Promise<ExitCode> {
  if (against === "peft") return verifyAgainstPeft(flags, context);
  throw new InputError("Cannot verify", `--against is "${against}", expected peft`);
}
