/** Flags and help of `zerogate doctor`. */
import type { CommandDefinition } from "../cli/definition.ts";
import type { DoctorFlags } from "./doctor.ts";
import { json } from "./shared_flags.ts";

export const definition: CommandDefinition<DoctorFlags> = {
  flags: {
    verbose: { group: "Common", about: "all that was found, in full: where libraries were looked for, paths" },
    json,
  },
  examples: [
    ["", "which engine runs here, and what would go wrong?"],
    ["--verbose", "why is a GPU or an engine not found?"],
  ],
  run: async (_, flags, context) => (await import("./doctor.ts")).doctorCommand(flags, context),
};
