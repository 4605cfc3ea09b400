/** Flags and help of `zerogate chat`. */
import type { CommandDefinition } from "../cli/definition.ts";
import type { ChatFlags } from "./chat.ts";
import { answering } from "./shared_flags.ts";

export const definition: CommandDefinition<ChatFlags> = {
  flags: answering,
  notes: "Every instruction is answered on its own, as the adapter was trained. /help lists what can be typed.",
  examples: [["--model base --adapter run/adapter", "talk to the adapter"]],
  run: async (_, flags, context) => (await import("./chat.ts")).chatCommand(flags, context),
};
