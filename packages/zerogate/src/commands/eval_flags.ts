/** Flags and help of `zerogate eval`. */

import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { EvalFlags } from "./eval.ts";
import { bos, download, json, outputBias, tower } from "./shared_flags.ts";

export const definition: CommandDefinition<EvalFlags> = {
  flags: {
    ...configFlagTable([
      "tokenizer",
      "links",
      "maxLength",
      "workers",
      "devices",
      "isolate",
      "engine",
      "compute",
      "storage",
      "strictTensors",
      "skipBadRecords",
      "imageRoot",
      "seed",
      "scienceFormat",
      "captions",
      "conversation",
    ]),
    model: {
      group: "Common",
      argument: "<dir|name>",
      about: "folder of the base model, or its name on the Hub (default: what the adapter names)",
    },
    data: { group: "Required", argument: "<files...>", about: "instruction files", isRequired: true },
    adapter: { group: "Common", argument: "<dir>", about: "adapter folder or run; without it the base is evaluated" },
    template: {
      group: "Common",
      argument: "<name|file>",
      about: "prompt template (default: the adapter's, else alpaca)",
    },
    tower,
    bos,
    outputBias,
    download,
    json,
  },
  examples: [
    ["--model base --data heldout.json", "how good is the base?"],
    ["--adapter run --data heldout.json", "and with the adapter of a run?"],
  ],
  run: async (_, flags, context) => (await import("./eval.ts")).evalCommand(flags, context),
};
