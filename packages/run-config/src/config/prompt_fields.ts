/** The keys of a run config that say how records become text, a part of `fields`. */
import { bosRules, turnRules } from "@zerogate/core/light";
import { added, type Field, oneOf, optional, path } from "./kinds.ts";
import type { TrainConfig } from "./train_config.ts";

/** In the order in which `--help` and docs/config.md list them. */
export const promptFields: { readonly [K in "template" | "turns" | "bos"]: Field<TrainConfig[K]> } = {
  template: optional(
    "Data",
    path("alpaca, plain, scienceqa, chat, chatml, zephyr or a file", "<name|file>"),
    "prompt template: alpaca, plain, scienceqa; of chats: chat (the model's own), chatml, zephyr; or a file",
    "alpaca",
  ),
  turns: added(
    "0.2.0",
    "all",
    optional("Data", oneOf(turnRules), "turns of the assistant that are trained in chats", "all"),
  ),
  bos: added(
    "0.2.0",
    "named",
    optional(
      "Advanced",
      oneOf(bosRules),
      "what goes in front: what tokenizer.json says, or any BOS that is named",
      "tokenizer",
    ),
  ),
};
