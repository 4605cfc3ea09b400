/** Flags and help of `zerogate rewind`. */

import { ownCommand } from "@zerogate/run-config/words";
import type { CommandDefinition } from "../cli/definition.ts";
import type { RewindFlags } from "./rewind.ts";
import { json } from "./shared_flags.ts";

export const definition: CommandDefinition<RewindFlags, readonly [run: string]> = {
  operands: ["<run>"],
  flags: {
    to: { group: "Required", argument: "<step>", about: "the checkpoint to go back to", isRequired: true },
    json,
  },
  notes: `What came later is kept in RUN/rewound. ${ownCommand`inspect RUN`} lists the checkpoints.`,
  examples: [["run --to 200", "make the checkpoint of step 200 the newest"]],
  run: async ([run], flags, context) => (await import("./rewind.ts")).rewindCommand(run, flags, context),
};
