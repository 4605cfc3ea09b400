/** Flags and help of `zerogate adapters show`. */

import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { ShowFlags } from "./adapters_show.ts";
import { json } from "./shared_flags.ts";

export const definition: CommandDefinition<ShowFlags, readonly [adapter: string]> = {
  operands: ["<adapter>"],
  flags: {
    model: { group: "Model", argument: "<dir>", about: "base model, for the count of all parameters" },
    json,
    ...configFlagTable(["links"]),
  },
  notes: "ADAPTER is a run or an adapter folder; convert reads files of other programs.",
  examples: [["run/adapter", "how far has each gate opened?"]],
  run: async ([adapter], flags, context) => (await import("./adapters_show.ts")).showCommand(adapter, flags, context),
};
