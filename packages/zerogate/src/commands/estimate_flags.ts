/** Flags and help of `zerogate estimate`: those of `train`, and the devices. */
import { configKeys } from "@zerogate/run-config";
import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { EstimateFlags } from "./estimate.ts";
import { json } from "./shared_flags.ts";

/** Nothing is written, so that a run directory and what belongs to it have no meaning. */
const plannedKeys = configKeys.filter((key) => !["out", "logLevel", "workers", "devices", "isolate"].includes(key));

export const definition: CommandDefinition<EstimateFlags> = {
  flags: {
    ...configFlagTable(plannedKeys),
    config: { group: "Common", argument: "<file>", about: "YAML or JSON file with any of these flags as keys" },
    on: {
      group: "Common",
      argument: "<n x device>",
      about:
        "devices: 8xH100, 4xA100, ..., 2xhere measures this machine's; may be given again (default: 1, 2, 4, 8 and 16 H100)",
      repeats: true,
    },
    utilization: {
      group: "Common",
      argument: "<x>",
      about: "share of the data sheet's speed that is reached (default: 0.5)",
    },
    leaderMs: {
      group: "Common",
      argument: "<ms>",
      about: "milliseconds a step in which no device computes (default: 8, measured with eight workers)",
    },
    json,
  },
  notes:
    "--model needs config.json and the tokenizer only, which alone are fetched of a name on the Hub that is not here: weights " +
    "need not be there, unless --on here trains a few cells to measure one device of this machine. Other devices and their " +
    "speeds are those of their makers' data sheets.",
  examples: [
    ["--model llama-7b --data alpaca.json --preset paper --on 8xA100 --on 8xH100", "hours of the paper's job"],
    ["--model smollm2-135m --data alpaca.json --on here --on 2xhere", "hours on this machine, measured"],
  ],
  run: async (_, flags, context) => (await import("./estimate.ts")).estimateCommand(flags, context),
};
