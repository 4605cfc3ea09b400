/** Flags and help of `zerogate data check`: those of `train` that decide how records are read and written. */

import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { DataCheckFlags } from "./data_check.ts";
import { download, json } from "./shared_flags.ts";

export const definition: CommandDefinition<DataCheckFlags, readonly string[]> = {
  operands: ["<files...>"],
  flags: {
    ...configFlagTable(["validationData", "fields", "turns", "bos", "labels", "maxLength", "maxDropped"]),
    ...configFlagTable(["scienceFormat", "captions", "tokenizer", "links"]),
    model: {
      group: "Common",
      argument: "<dir|name>",
      about: "base whose tokenizer counts, as a run would (default: characters and words are counted)",
    },
    template: {
      group: "Common",
      argument: "<name|file>",
      about: "template that writes the records (default: chat for chats, else alpaca)",
    },
    html: { group: "Common", argument: "<file>", about: "also write all of it as one page" },
    download,
    json,
  },
  notes:
    "Exit code 1 says that a run would refuse the data or find its held-out loss too good: bad records, chats that the template " +
    "refuses, too many answers that do not fit, validation records that are trained on. All else is only reported.",
  examples: [
    ["alpaca.json", "what is in this file?"],
    ["train.jsonl --validation-data heldout.jsonl", "is anything held out that is trained on?"],
    ["chats.parquet --model base --html data.html", "how many tokens have these chats, and which are cut?"],
  ],
  run: async (paths, flags, context) => (await import("./data_check.ts")).dataCheckCommand(paths, flags, context),
};
