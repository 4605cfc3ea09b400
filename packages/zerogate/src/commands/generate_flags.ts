/** Flags and help of `zerogate generate`. */
import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { GenerateFlags } from "./generate.ts";
import { answering } from "./shared_flags.ts";

export const definition: CommandDefinition<GenerateFlags> = {
  flags: {
    ...answering,
    instruction: { group: "Common", argument: "<text>", about: "instruction to answer under the template" },
    input: { group: "Common", argument: "<text>", about: "input of the instruction" },
    image: {
      group: "Common",
      argument: "<file>",
      about: "image that it is about, may be given several times; needs an adapter trained with images",
      repeats: true,
    },
    prompt: { group: "Common", argument: "<text>", about: "text to continue as it is, without a template" },
    prompts: {
      group: "Common",
      argument: "<file>",
      about: "instructions to answer, one a line (.txt) or as an instruction file",
    },
    ...configFlagTable(["fields"]),
    compare: {
      group: "Adapter",
      argument: "<dirs...>",
      about: "adapter folders or runs (dir or dir=name) that answer side by side with the base",
    },
    json: { group: "Common", about: "one JSON object on stdout; with --prompts or --compare one for each prompt" },
  },
  notes: "One of --instruction, --prompt and --prompts is needed.",
  examples: [
    ['--adapter run --instruction "Name a colour"', "answer one instruction"],
    ['--adapter run --image cat.jpg --instruction "What is it?"', "ask about an image"],
    ["--compare run --prompts questions.txt", "base and adapter of a run side by side"],
    ['--model base --prompt "Once upon a time" --temperature 0.8', "let the base continue a text"],
  ],
  run: async (_, flags, context) => (await import("./generate.ts")).generateCommand(flags, context),
};
