/** Flags and help of `zerogate rehearse`: those of `train` that say what is trained, and the devices. */
import { configKeys } from "@zerogate/run-config/keys";
import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { RehearseFlags } from "./rehearse.ts";
import { json } from "./shared_flags.ts";

/** Nothing stays of a rehearsal, and its devices compute nothing. */
const without: readonly string[] = ["out", "logLevel", "workers", "devices", "isolate", "engine", "compute", "packing"];

export const definition: CommandDefinition<RehearseFlags> = {
  flags: {
    ...configFlagTable(configKeys.filter((key) => !without.includes(key))),
    config: { group: "Common", argument: "<file>", about: "YAML or JSON file with any of these flags as keys" },
    devices: { group: "Common", argument: "<n>", about: "devices of each host (default: those of --on, else 8)" },
    cellMs: {
      group: "Common",
      argument: "<ms>",
      about: "time of a cell of --cell-tokens on a device (default: 200, or as --on says)",
    },
    on: { group: "Common", argument: "<n x device>", about: "time of a cell by a data sheet: 8xH100, A100, ..." },
    utilization: {
      group: "Common",
      argument: "<x>",
      about: "share of the data sheet's speed that is reached (default: 0.5)",
    },
    kill: { group: "Common", about: "end no worker in the middle of the rehearsal", isNegatable: true },
    json,
  },
  notes:
    "Devices wait for as long as a cell would take and compute nothing; sums, optimizer, checkpoints and, under mpirun, " +
    "the sums of all hosts are those of a run. One worker is ended half-way, and its cells are dealt again. --steps is 40 by " +
    "default. --model needs config.json and the tokenizer only. No adapter is written, and nothing stays.",
  examples: [
    ["--model llama-7b --data alpaca.json --preset paper --devices 8 --cell-ms 200", "are eight devices kept busy?"],
    ["--model llama-7b --data alpaca.json --preset paper --on 8xH100", "the same at the speed of a data sheet"],
  ],
  run: async (_, flags, context) => (await import("./rehearse.ts")).rehearseCommand(flags, context),
};
