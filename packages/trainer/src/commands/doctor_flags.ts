/** Flags and help of `zerogate doctor`. */
import type { CommandDefinition } from "../cli/definition.ts";
import { json } from "./shared_flags.ts";

export const definition: CommandDefinition<{ readonly json?: boolean }> = {
  flags: { json },
  examples: [["", "what this machine offers, and what would go wrong"]],
  run: async (_, flags, context) => (await import("./doctor.ts")).doctorCommand(flags, context),
};
