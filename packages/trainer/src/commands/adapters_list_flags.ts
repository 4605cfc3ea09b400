/** Flags and help of `zerogate adapters list`. */
import type { CommandDefinition } from "../cli/definition.ts";

export const definition: CommandDefinition<{ readonly json?: boolean }, readonly string[]> = {
  operands: ["<dirs...>"],
  flags: { json: { group: "Common", about: "one JSON object an adapter on stdout" } },
  examples: [["runs", "every adapter in the folder runs and below"]],
  run: async (dirs, flags, context) => (await import("./adapters_list.ts")).listCommand(dirs, flags, context),
};
