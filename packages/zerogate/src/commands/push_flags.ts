/** Flags and help of `zerogate push`. */
import type { CommandDefinition } from "../cli/definition.ts";
import type { PushFlags } from "./push.ts";
import { json } from "./shared_flags.ts";

export const definition: CommandDefinition<PushFlags, readonly [source: string, name: string]> = {
  operands: ["<source>", "<name>"],
  flags: {
    private: { group: "Common", about: "a new repository is seen by you alone" },
    createPr: { group: "Common", about: "ask the owner of a repository to take the files, as a pull request" },
    base: { group: "Common", argument: "<name>", about: "the base's name on the Hub, if the adapter names a folder" },
    yes: { group: "Common", about: "do not ask before the files are pushed" },
    json,
  },
  notes:
    "SOURCE is a run or an adapter folder, NAME is OWNER/NAME on the Hub. Pushed are the adapter, its settings and template, and " +
    "its card, with losses, receipt and command of a run; no data, no logs. HF_TOKEN is a token that may write. docs/hub.md",
  examples: [
    ["run me/my-adapter", "show the files, ask, and push them"],
    ["run me/my-adapter --private --yes", "into a private repository, without a question"],
    ["adapter them/theirs --create-pr", "as a pull request"],
  ],
  run: async ([source, name], flags, context) => (await import("./push.ts")).pushCommand(source, name, flags, context),
};
