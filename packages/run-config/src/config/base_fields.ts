/** The keys that say what the frozen base is, a part of `fields`. */
import { added, type Field, onOff, optional, path, required } from "./kinds.ts";
import type { TrainConfig } from "./train_config.ts";

type BaseKey = "model" | "tokenizer" | "links";

/** In the order of help. */
export const baseFields: { readonly [K in BaseKey]: Field<TrainConfig[K]> } = {
  model: required(
    "Model",
    path("the folder of a model", "<dir|name>"),
    "frozen base: folder, GGUF, or name on the Hub",
  ),
  tokenizer: added(
    "0.2.0",
    "model",
    optional(
      "Model",
      path("the folder of a tokenizer, or model", "<dir>"),
      "folder of the tokenizer, model: that of the base",
      "model",
    ),
  ),
  links: added(
    "0.2.0",
    false,
    optional("Model", onOff, "follow links that lead out of a model's or adapter's folder", true),
  ),
};
