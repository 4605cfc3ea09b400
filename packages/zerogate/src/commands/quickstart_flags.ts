/** Flags and help of `zerogate quickstart`. */

import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { QuickstartFlags } from "./quickstart.ts";
import { jsonSteps } from "./shared_flags.ts";

export const definition: CommandDefinition<QuickstartFlags> = {
  flags: {
    ...configFlagTable(["workers", "engine", "compute", "storage", "seed", "steps"]),
    out: { group: "Common", argument: "<dir>", about: "run directory (default: quickstart, or the next free name)" },
    pictures: { group: "Common", about: "teach the base to see: drawn pictures, through a small tower (needs sharp)" },
    json: jsonSteps,
  },
  examples: [
    ["", "train for about a minute, then show base and adapter side by side"],
    ["--pictures", "let a base that cannot see learn what is in drawn pictures"],
    ["--steps 100 --out first-run", "a longer run, in a folder of your choice"],
  ],
  run: async (_, flags, context) => (await import("./quickstart.ts")).quickstartCommand(flags, context),
};
