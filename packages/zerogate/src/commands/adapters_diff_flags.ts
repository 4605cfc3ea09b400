/** Flags and help of `zerogate adapters diff`. */

import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { DiffFlags } from "./adapters_diff.ts";
import { json } from "./shared_flags.ts";

export const definition: CommandDefinition<DiffFlags, readonly [a: string, b: string]> = {
  operands: ["<a>", "<b>"],
  flags: { json, ...configFlagTable(["links"]) },
  notes:
    "A and B are runs or adapter folders; convert reads files of other programs. Exit code 1 if there are differences.",
  examples: [["run/adapter run-2/adapter", "are they the same, and if not, where?"]],
  run: async ([a, b], flags, context) => (await import("./adapters_diff.ts")).diffCommand(a, b, flags, context),
};
