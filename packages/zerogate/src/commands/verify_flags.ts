/** Flags and help of `zerogate verify`. */

import { runFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import { json } from "./shared_flags.ts";
import type { VerifyFlags } from "./verify.ts";

export const definition: CommandDefinition<VerifyFlags, readonly string[]> = {
  operands: ["[run]"],
  flags: {
    ...runFlagTable(["workers", "model", "links", "data", "validationData", "cacheDir", "engine", "compute"]),
    replay: {
      group: "Common",
      argument: "<from..to>",
      about: "do these steps again and say where they first differ, for example 1..20",
    },
    json,
    against: {
      group: "Common",
      argument: "<who>",
      about: "peft: compare logits, loss and gradients of --model and --adapter with a Python that has it",
    },
    adapter: { group: "Adapter", argument: "<dir>", about: "adapter folder or run, with --against" },
    text: {
      group: "Data",
      argument: "<text>",
      about: "text to compute with, may be given several times (default: three of our own)",
      repeats: true,
    },
    python: {
      group: "Machine",
      argument: "<path>",
      about: "Python with peft, torch and transformers (default: ZEROGATE_PYTHON, else python3)",
    },
    tolerance: {
      group: "Common",
      argument: "<t>",
      about: "largest difference, relative to the largest number (default: 1e-4)",
    },
  },
  notes: "With a run, what is not given stays as the run has it. Exit code 3 if something differs.",
  examples: [
    ["run", "are all files what the run wrote?"],
    ["run --replay 1..20", "do the first 20 steps again and compare"],
    ["--against peft --adapter run", "does PEFT compute the same with this adapter?"],
  ],
  run: async ([run], flags, context) => (await import("./verify.ts")).verifyCommand(run, flags, context),
};
