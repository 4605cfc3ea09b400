/** Flags and help of `zerogate cluster init`. */
import type { CommandDefinition } from "../cli/definition.ts";
import type { ClusterInitFlags } from "./cluster_init.ts";
import { json } from "./shared_flags.ts";

export const definition: CommandDefinition<ClusterInitFlags, readonly [launcher: string]> = {
  operands: ["<launcher>"],
  flags: {
    config: {
      group: "Required",
      argument: "<file>",
      about: "config of the run, seen by all hosts under this path",
      isRequired: true,
    },
    run: {
      group: "Required",
      argument: "<dir>",
      about: "run directory, on a file system that all hosts share",
      isRequired: true,
    },
    hosts: { group: "Common", argument: "<n>", about: "how many hosts (default: 2)" },
    out: { group: "Common", argument: "<dir>", about: "folder of the files (default: this one)" },
    json,
  },
  notes: "Launchers: mpirun, slurm, kubernetes.",
  examples: [["slurm --config /shared/run.yaml --run /shared/run --hosts 4", "a job for four hosts"]],
  run: async ([launcher], flags, context) =>
    (await import("./cluster_init.ts")).clusterInitCommand(launcher, flags, context),
};
