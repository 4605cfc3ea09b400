/** The texts of model and adapter folders, and those that a user writes: configs, tokenizers, templates. */

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { InputError, parameterCount, parseAdaptionPromptConfig, parseModelConfig } from "@zerogate/core";
import { readGenerationConfig, readRegularFile, reason } from "@zerogate/core/node";
import { loadTemplate } from "@zerogate/data";
import { configKeys, readConfigFile, resolveConfig } from "@zerogate/run-config";
import { parse as parseYaml } from "yaml";
import { hasKeys, type JsonObject, type KnownFile } from "./known_file.ts";

export const modelTexts: readonly KnownFile[] = [
  {
    kind: "adapter-config",
    isJson: true,
    what: "the config of an adapter, as PEFT writes it",
    is: ({ name, object }) => name === "adapter_config.json" || hasKeys(object, "peft_type"),
    read: ({ path, object = {} }) => {
      const kind = object["peft_type"];
      try {
        return { ...parseAdaptionPromptConfig(object, path).config };
      } catch (error) {
        return { peftType: kind, problem: problemOf(error) };
      }
    },
  },
  {
    kind: "model-config",
    isJson: true,
    what: "the config of a base model, as transformers writes it",
    is: ({ name, object }) =>
      name === "config.json" || hasKeys(object, "model_type") || hasKeys(object, "architectures"),
    read: ({ path, object = {} }) => {
      const warnings: string[] = [];
      try {
        const config = parseModelConfig(object, path, (warning) => warnings.push(warning));
        return { parameters: parameterCount(config), ...config, warnings };
      } catch (error) {
        return { modelType: object["model_type"], architectures: object["architectures"], problem: problemOf(error) };
      }
    },
  },
  {
    kind: "generation-config",
    isJson: true,
    what: "how the makers of a model mean it to be asked",
    is: ({ name }) => name === "generation_config.json",
    read: async ({ path }) => ({ ...(await readGenerationConfig(dirname(path))) }),
  },
  {
    kind: "tokenizer",
    isJson: true,
    what: "a tokenizer in Hugging Face's format",
    is: ({ name, object }) => name === "tokenizer.json" || hasKeys(object, "model", "added_tokens"),
    read: ({ object = {} }) => tokenizerFacts(object),
  },
  {
    kind: "tokenizer-config",
    isJson: true,
    what: "settings of a tokenizer: its special tokens, and a chat template, which is not used here",
    is: ({ name, object }) => name === "tokenizer_config.json" || hasKeys(object, "tokenizer_class"),
    read: ({ object = {} }) => ({
      tokenizerClass: object["tokenizer_class"],
      ...specialTokens(object),
      modelMaxLength: object["model_max_length"],
      hasChatTemplate: object["chat_template"] !== undefined,
    }),
  },
  {
    kind: "special-tokens",
    isJson: true,
    what: "names of the special tokens of a tokenizer",
    is: ({ name }) => name === "special_tokens_map.json",
    read: ({ object = {} }) => specialTokens(object),
  },
  {
    kind: "shard-index",
    isJson: true,
    what: "says which file holds which tensor of a model in shards",
    is: ({ name, object }) => name.endsWith(".index.json") || hasKeys(object, "weight_map"),
    read: ({ path, object = {} }) => {
      const map = object["weight_map"];
      if (typeof map !== "object" || map === null) return { problem: "it has no weight_map" };
      const names = [...new Set(Object.values(map).map(String))].toSorted();
      const missing = names.filter((name) => !existsSync(join(dirname(path), name)));
      const { total_size: totalBytes } = (object["metadata"] ?? {}) as JsonObject;
      return { tensors: Object.keys(map).length, files: names, totalBytes, missing };
    },
  },
  {
    kind: "template",
    isJson: true,
    what: "a prompt template, for --template",
    is: ({ object }) => hasKeys(object, "withInput") || hasKeys(object, "withoutInput"),
    read: async ({ path }) => ({ ...(await loadTemplate(path)) }),
  },
  {
    kind: "train-config",
    what: "a config for train --config",
    is: ({ name, object }) => /\.ya?ml$/.test(name) || isTrainConfig(object),
    read: ({ path }) => trainConfigFacts(path),
  },
  {
    kind: "model-card",
    what: "the card of a model or adapter; its header is what the Hub shows of it",
    is: ({ name, head }) => /^readme\.md$/i.test(name) && /^---\r?\n/.test(head.toString()),
    read: async ({ path }) => {
      const text = (await readRegularFile(path, 1 << 20)).toString();
      const [, header = ""] = /^---\r?\n([\s\S]*?)\r?\n---\r?\n/.exec(text) ?? [];
      return { header: parseYaml(header) as unknown };
    },
  },
];

function isTrainConfig(object: JsonObject | undefined): boolean {
  const keys = Object.keys(object ?? {});
  return (
    keys.length > 1 && keys.filter((key) => (configKeys as readonly string[]).includes(key)).length > keys.length / 2
  );
}

/** Keys as they stand there, and what is wrong with them; a run directory and data may be left to the flags. */
function trainConfigFacts(path: string): JsonObject {
  const { values } = readConfigFile(path);
  const notes: string[] = [];
  const given = { model: ".", data: ["."], out: "." };
  const flags = Object.fromEntries(Object.entries(given).filter(([key]) => !values.has(key)));
  const facts = { keys: [...values.keys()], left: Object.keys(flags), notes };
  try {
    resolveConfig({ file: path, flags, onNote: (note) => notes.push(note) });
    return facts;
  } catch (error) {
    return { ...facts, problem: problemOf(error) };
  }
}

function tokenizerFacts(object: JsonObject): JsonObject {
  const typeOf = (part: unknown) =>
    typeof part === "object" && part !== null ? (part as JsonObject)["type"] : undefined;
  const { model, added_tokens: added } = object;
  const { vocab = {}, merges } = (typeof model === "object" && model !== null ? model : {}) as JsonObject;
  const size = (list: unknown) => (Array.isArray(list) ? list.length : Object.keys(list ?? {}).length);
  if (size(vocab) === 0) return { problem: "it holds no vocabulary: it is cut off or no tokenizer" };
  const parts = ["normalizer", "pre_tokenizer", "post_processor", "decoder"] as const;
  return {
    model: typeOf(model) ?? "not named",
    pieces: size(vocab),
    merges: merges === undefined ? undefined : size(merges),
    addedTokens: size(added),
    ...Object.fromEntries(parts.map((part) => [part, typeOf(object[part])])),
  };
}

function specialTokens(object: JsonObject): JsonObject {
  const text = (token: unknown) =>
    typeof token === "string" ? token : ((token as JsonObject | null | undefined) ?? {})["content"];
  return Object.fromEntries(
    ["bos_token", "eos_token", "pad_token", "unk_token"].map((name) => [name, text(object[name])]),
  );
}

const problemOf = (error: unknown): string => (error instanceof InputError ? error.problems.join("; ") : reason(error));
