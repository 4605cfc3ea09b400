/** Flags and help of `zerogate train`: every key of a run config, and a few that say how to run it. */

import { configKeys, fields } from "@zerogate/run-config/keys";
import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition, Flag } from "../cli/definition.ts";
import { download, jsonSteps } from "./shared_flags.ts";
import type { TrainFlags } from "./train.ts";

/** A required key may stand in the config file instead, so that its flag alone is not. */
function required(): Record<string, Flag> {
  const needed = Object.entries(configFlagTable(configKeys.filter((key) => fields[key].required)));
  return Object.fromEntries(needed.map(([key, flag]) => [key, { ...flag, group: "Required" }]));
}

export const definition: CommandDefinition<TrainFlags> = {
  flags: {
    ...configFlagTable(configKeys),
    ...required(),
    config: { group: "Common", argument: "<file>", about: "YAML or JSON file with any of these flags as keys" },
    preset: configFlagTable(["preset"]).preset,
    dryRun: {
      group: "Common",
      about: "check everything, print config, plan, memory and parameters, train nothing",
    },
    download,
    json: jsonSteps,
  },
  notes:
    "Required flags may stand in the --config file instead, where --batch-size is the key batchSize. Flags win over the " +
    "file, the file over the preset. docs/config.md describes every key.",
  examples: [
    ["--model base --data alpaca.json --out run", "train with the defaults, 3 epochs"],
    ["--model base --data alpaca.json --out run --preset paper --dry-run", "what the paper's settings would do"],
    ["--config run.yaml --out run-2 --lr 1e-2", "a config file with another learning rate"],
  ],
  run: async (_, flags, context) => (await import("./train.ts")).trainCommand(flags, context),
};
