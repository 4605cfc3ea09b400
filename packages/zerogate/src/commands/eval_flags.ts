/** Flags and help of `zerogate eval`. */

import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { EvalFlags } from "./eval.ts";
import { acceptTower, bos, download, json, outputBias, tower } from "./shared_flags.ts";

export const definition: CommandDefinition<EvalFlags> = {
  flags: {
    ...configFlagTable([
      "tokenizer",
      "links",
      "maxLength",
      "workers",
      "devices",
      "isolate",
      "engine",
      "compute",
      "storage",
      "strictTensors",
      "skipBadRecords",
      "imageRoot",
      "seed",
      "scienceFormat",
      "captions",
      "conversation",
      "fields",
    ]),
    model: {
      group: "Common",
      argument: "<dir|name>",
      about: "folder of the base model, or its name on the Hub (default: what the adapter names)",
    },
    data: { group: "Common", argument: "<files...>", about: "instruction files: loss, perplexity and exact match" },
    task: {
      group: "Common",
      argument: "<[name=]file>",
      about: "questions of a benchmark, may be given several times: docs/evaluation.md",
      repeats: true,
    },
    adapter: {
      group: "Common",
      argument: "<dir[=name]>",
      about: "adapter folder or run; with --task several times, beside the base",
      repeats: true,
    },
    generate: {
      group: "Common",
      about: "with --data: base and adapter also write answers, compared by exact match, ROUGE-L and chrF",
    },
    limit: {
      group: "Common",
      argument: "<n>",
      about: "questions of a task, of MMLU of each subject; with --generate answers (default: all)",
    },
    shots: { group: "Common", argument: "<n>", about: "examples before each question (default: the task's own)" },
    shotsFrom: {
      group: "Advanced",
      argument: "<file>",
      about: "file that examples come from (default: the training split beside the questions)",
    },
    shotsSeed: { group: "Advanced", argument: "<n>", about: "seed of the choice of examples (default: 1234)" },
    out: {
      group: "Common",
      argument: "<dir>",
      about: "folder for the answers to a task, a question a line: the same command goes on with it",
    },
    template: {
      group: "Common",
      argument: "<name|file>",
      about: "prompt template (default: the adapter's, else alpaca)",
    },
    tower,
    acceptTower,
    bos,
    outputBias,
    download,
    json,
  },
  examples: [
    ["--model base --data heldout.json", "how good is the base?"],
    ["--adapter run --data heldout.json", "and with the adapter of a run?"],
    ["--adapter run --data heldout.json --generate", "how near are its answers to the expected ones?"],
    ["--adapter run --task arc_easy=test.jsonl --out answers", "base and adapter on a benchmark, question by question"],
  ],
  run: async (_, flags, context) => (await import("./eval.ts")).evalCommand(flags, context),
};
