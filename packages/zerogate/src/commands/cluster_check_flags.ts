/** Flags and help of `zerogate cluster check`. */

import { ownCommand } from "@zerogate/run-config/words";
import type { CommandDefinition } from "../cli/definition.ts";
import type { ClusterCheckFlags } from "./cluster_check.ts";
import { json } from "./shared_flags.ts";

export const definition: CommandDefinition<ClusterCheckFlags> = {
  flags: {
    workers: { group: "Machine", argument: "<n>", about: "device workers a host (default: all cores)" },
    hostTimeout: { group: "Machine", argument: "<seconds>", about: "how long a host may be late (default: 60)" },
    json,
  },
  notes: `Start it as the run would be started: mpirun … ${ownCommand`cluster check`}.`,
  examples: [["", "which MPI is here? (alone, without a launcher)"]],
  run: async (_, flags, context) => (await import("./cluster_check.ts")).clusterCheckCommand(flags, context),
};
