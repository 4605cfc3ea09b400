/** Flags and help of `zerogate resume`. */

import { configKeys } from "@zerogate/run-config/keys";
import { runFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { ResumeFlags } from "./resume.ts";
import { download, jsonSteps } from "./shared_flags.ts";

export const definition: CommandDefinition<ResumeFlags, readonly [run: string]> = {
  operands: ["<run>"],
  flags: {
    ...runFlagTable(configKeys.filter((key) => key !== "out" && key !== "preset")),
    download,
    json: jsonSteps,
    acceptChange: {
      group: "Common",
      argument: "<field>",
      about: "go on although this decides the trained numbers and has changed, may be given several times",
      repeats: true,
    },
  },
  notes:
    "What is not given stays as the run has it. A flag that decides the trained numbers is refused unless --accept-change " +
    "names its key.",
  examples: [
    ["run", "go on where it stopped"],
    ["run --workers 2", "go on with two threads, to the same numbers"],
    ["run --model /new/place/base --data /new/place/alpaca.json", "the files have moved"],
    ["run --epochs 5 --accept-change epochs", "train longer than was planned"],
  ],
  run: async ([run], flags, context) => (await import("./resume.ts")).resumeCommand(run, flags, context),
};
