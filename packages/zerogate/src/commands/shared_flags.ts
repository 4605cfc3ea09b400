/** Flags that several commands declare alike. */

import { configFlagTable } from "../cli/config_flags.ts";
import type { Flag, FlagTable } from "../cli/definition.ts";
import type { ChatFlags } from "./chat.ts";

export const json: Flag = { group: "Common", about: "one JSON object on stdout" };

export const jsonSteps: Flag = { group: "Common", about: "one JSON object per step on stdout" };

export const outputBias: Flag = {
  group: "Advanced",
  argument: "<name>",
  about: "what an adapter means that does not say it: once, twice (PEFT)",
};

export const bos: Flag = {
  group: "Advanced",
  argument: "<rule>",
  about: "what goes in front: tokenizer, named (default: as the adapter was trained)",
};

export const tower: Flag = {
  group: "Adapter",
  argument: "<dir>",
  about: "folder of the tower that sees images (default: what the adapter names)",
};

export const acceptTower: Flag = {
  group: "Adapter",
  about: "take a tower of the same sizes that has another hash than the adapter's",
};

export const download: Flag = {
  group: "Common",
  about: "fetch models, adapters and towers named as OWNER/NAME that are not here",
};

/** What answers instructions, as `generate` and `chat` take it. */
export const answering: FlagTable<ChatFlags> = {
  model: {
    group: "Common",
    argument: "<dir|name>",
    about: "folder of the base model, or its name on the Hub (default: what the first adapter names)",
  },
  adapter: {
    group: "Common",
    argument: "<dir[=name]>",
    about: "adapter folder or run, may be given several times; the first is active",
    repeats: true,
  },
  use: { group: "Adapter", argument: "<name>", about: "adapter to answer with" },
  scale: { group: "Adapter", argument: "<s>", about: "how much of the adapter, 0 (the base) to 1 (default: 1)" },
  template: {
    group: "Common",
    argument: "<name|file>",
    about: "prompt template of instructions (default: the adapter's, else alpaca)",
  },
  tower,
  acceptTower,
  maxNewTokens: {
    group: "Answers",
    argument: "<n>",
    about: "longest answer in tokens (default: the model's, else 128)",
  },
  temperature: { group: "Answers", argument: "<t>", about: "0: always the most likely token (default: 0)" },
  topP: { group: "Answers", argument: "<p>", about: "nucleus sampling (default: 1)" },
  topK: { group: "Answers", argument: "<k>", about: "keep the k most likely tokens, 0: all (default: 0)" },
  minP: {
    group: "Answers",
    argument: "<p>",
    about: "keep tokens this likely beside the likeliest, 0: all (default: 0)",
  },
  repetitionPenalty: {
    group: "Answers",
    argument: "<r>",
    about: "divide the logits of tokens that were there, 1: no penalty (default: 1)",
  },
  presencePenalty: {
    group: "Answers",
    argument: "<p>",
    about: "subtract from the logits of tokens that the answer has (default: 0)",
  },
  frequencyPenalty: {
    group: "Answers",
    argument: "<p>",
    about: "subtract as often as the answer has the token (default: 0)",
  },
  logitBias: {
    group: "Answers",
    argument: "<id=b>",
    about: "add to the logit of a token, may be given several times",
    repeats: true,
  },
  samplingDefaults: { group: "Answers", about: "sample as the model's generation_config.json says" },
  seed: { group: "Answers", argument: "<n>", about: "seed of the sampling (default: 0)" },
  stop: {
    group: "Answers",
    argument: "<text>",
    about: "end before this text, may be given several times",
    repeats: true,
  },
  bos,
  outputBias,
  download,
  ...configFlagTable(["tokenizer", "links", "engine", "compute", "storage", "strictTensors"]),
  devices: { group: "Machine", argument: "<n>", about: "GPU of the engine cuda (default: the first that it can use)" },
};
