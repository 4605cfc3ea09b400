/** Flags and help of `zerogate chat`. */
import type { CommandDefinition } from "../cli/definition.ts";
import type { ChatFlags } from "./chat.ts";
import { answering } from "./shared_flags.ts";

export const definition: CommandDefinition<ChatFlags> = {
  flags: answering,
  notes: "Every instruction is answered on its own, as the adapter was trained. /help lists what can be typed.",
  examples: [
    ["--adapter run", "talk to the adapter of a run"],
    ["--model base --adapter run-1=one --adapter run-2=two", "switch between two with /adapter two"],
  ],
  run: async (_, flags, context) => (await import("./chat.ts")).chatCommand(flags, context),
};
