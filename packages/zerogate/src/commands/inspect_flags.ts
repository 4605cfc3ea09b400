/** Flags and help of `zerogate inspect`. */

import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { InspectFlags } from "./inspect/inspect.ts";
import { json } from "./shared_flags.ts";

export const definition: CommandDefinition<InspectFlags, readonly [path: string]> = {
  operands: ["<path>"],
  flags: {
    json,
    ...configFlagTable(["links", "turns", "maxLength"]),
    sample: {
      group: "Common",
      argument: "<n>",
      about: "show the first records of data as a run would train them: what is trained stands between ⟦ and ⟧",
    },
    model: { group: "Common", argument: "<dir>", about: "base whose tokenizer and template write the samples" },
    template: {
      group: "Common",
      argument: "<name|file>",
      about: "template that writes the samples (default: chat for chats, else alpaca)",
    },
  },
  examples: [
    ["run", "what a run has done so far, and what to type next"],
    ["base", "family and size of a base model"],
    ["Qwen/Qwen3-0.6B", "what a model of the Hub is and takes, before a download"],
    ["alpaca.json", "can this file be trained on?"],
    ["chats.jsonl --sample 3 --model base", "which parts of these chats are trained?"],
  ],
  run: async ([path], flags, context) => (await import("./inspect/inspect.ts")).inspectCommand(path, flags, context),
};
