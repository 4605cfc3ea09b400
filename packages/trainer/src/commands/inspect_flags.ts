/** Flags and help of `zerogate inspect`. */
import type { CommandDefinition } from "../cli/definition.ts";
import { json } from "./shared_flags.ts";

export const definition: CommandDefinition<{ readonly json?: boolean }, readonly [path: string]> = {
  operands: ["<path>"],
  flags: { json },
  examples: [
    ["run", "what a run has done so far, and what to type next"],
    ["base", "family and size of a base model"],
    ["alpaca.json", "can this file be trained on?"],
  ],
  run: async ([path], flags, context) => (await import("./inspect.ts")).inspectCommand(path, flags, context),
};
