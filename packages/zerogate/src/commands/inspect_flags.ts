/** Flags and help of `zerogate inspect`. */

import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { InspectFlags } from "./inspect/inspect.ts";
import { json } from "./shared_flags.ts";

export const definition: CommandDefinition<InspectFlags, readonly [path: string]> = {
  operands: ["<path>"],
  flags: { json, ...configFlagTable(["links"]) },
  examples: [
    ["run", "what a run has done so far, and what to type next"],
    ["base", "family and size of a base model"],
    ["Qwen/Qwen3-0.6B", "what a model of the Hub is and takes, before a download"],
    ["alpaca.json", "can this file be trained on?"],
  ],
  run: async ([path], flags, context) => (await import("./inspect/inspect.ts")).inspectCommand(path, flags, context),
};
