/** Flags and help of `zerogate adapters list`. */

import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { ListFlags } from "./adapters_list.ts";

export const definition: CommandDefinition<ListFlags, readonly string[]> = {
  operands: ["<dirs...>"],
  flags: { json: { group: "Common", about: "one JSON object an adapter on stdout" }, ...configFlagTable(["links"]) },
  examples: [["runs", "every adapter in the folder runs and below"]],
  run: async (dirs, flags, context) => (await import("./adapters_list.ts")).listCommand(dirs, flags, context),
};
