/** Flags and help of `zerogate adapters average`. */

import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { AverageFlags } from "./adapters_average.ts";
import { json } from "./shared_flags.ts";

export const definition: CommandDefinition<AverageFlags, readonly string[]> = {
  operands: ["<adapters...>"],
  flags: {
    out: { group: "Required", argument: "<dir>", about: "new adapter folder", isRequired: true },
    weights: {
      group: "Common",
      argument: "<list>",
      about: "one weight per adapter, with commas; divided by their sum (default: equal)",
    },
    dtype: { group: "Common", argument: "<dtype>", about: "of the numbers written: f32, bf16, f16 (default: f32)" },
    json,
    ...configFlagTable(["links"]),
  },
  examples: [
    ["a/adapter b/adapter --out mean", "the mean of two adapters"],
    ["a/adapter b/adapter --out mostly-a --weights 3,1", "three parts of the first, one of the second"],
  ],
  run: async (adapters, flags, context) =>
    (await import("./adapters_average.ts")).averageCommand(adapters, flags, context),
};
