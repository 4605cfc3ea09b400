/**
 * A language model inside a larger one (Gemma 3, Mistral 3, LLaVA, Qwen 3.5 …): its config is the `text_config` of the outer one, its
 * tensors have names that begin with `language_model.` or `model.language_model.`. Images are no matter of it.
 */
import { InputError } from "../errors.ts";
import { isJsonObject } from "../formats/json_fields.ts";

type Json = Readonly<Record<string, unknown>>;

/** The language model of each outer model type whose text_config does not say it. */
const holders: Readonly<Record<string, string>> = {
  gemma3: "gemma3_text",
  mistral3: "mistral",
  llava: "llama",
  llava_next: "llama",
  llava_next_video: "llama",
  llava_onevision: "qwen2",
  vipllava: "llama",
  qwen3_5: "qwen3_5_text",
};

/** What a text_config may leave out: the sizes of transformers' class. */
const classSizes: Readonly<Record<string, readonly [V: number, D: number, F: number, layers: number, heads: number]>> =
  {
    llama: [32_000, 4096, 11_008, 32, 32],
    mistral: [32_000, 4096, 14_336, 32, 32],
    ministral3: [131_072, 4096, 14_336, 34, 32],
    qwen2: [151_936, 4096, 22_016, 32, 32],
    qwen3: [151_936, 4096, 22_016, 32, 32],
    qwen3_5_text: [248_320, 4096, 12_288, 32, 16],
    gemma: [256_000, 3072, 24_576, 28, 16],
    gemma2: [256_000, 2304, 9216, 26, 8],
    gemma3_text: [262_208, 2304, 9216, 26, 8],
  };

/** What may stand in the outer config alone. */
const outerKeys = ["dtype", "torch_dtype", "bos_token_id", "eos_token_id", "quantization_config"];

/** The config of a language model, and the type of the model that it stands in, if it does. */
export interface LanguageConfig {
  readonly json: Json;
  readonly holder: string | undefined;
}

/** Model types whose `text_config` is read. */
export const holderTypes: readonly string[] = Object.keys(holders);

/**
 * Returns the config of the language model in a config.json: all of it, or its text_config with what that leaves to the outer one and to
 * transformers' class. Throws an `InputError` if there should be a text_config and is none.
 */
export function languageConfig(json: Json, attempt: string): LanguageConfig {
  const type = json["model_type"];
  const inner = json["text_config"];
  const own = typeof type === "string" && Object.hasOwn(holders, type) ? type : undefined;
  if (own === undefined) return { json, holder: undefined };
  if (!isJsonObject(inner)) {
    throw new InputError(
      attempt,
      `it is a ${own} model without a text_config: needed is the config of its language model`,
    );
  }
  const model_type = inner["model_type"] ?? holders[own];
  const [vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads] =
    (typeof model_type === "string" ? classSizes[model_type] : undefined) ?? [];
  const sizes = { vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads };
  const outer = outerKeys.filter((key) => json[key] !== undefined).map((key) => [key, json[key]]);
  // Whether the head is the embedding, the weights decide: the classes of the two models have different defaults.
  const ties = [json, inner].flatMap(({ tie_word_embeddings: tie }) => tie ?? []);
  const text: Json = {
    ...(vocab_size !== undefined && sizes),
    ...Object.fromEntries(outer),
    ...inner,
    tie_word_embeddings: ties.find((tie) => tie !== false) ?? ties.length === 0,
    model_type,
  };
  return { json: text, holder: own };
}

/** The name that a tensor of the language model has in files of its own; other names as they are. */
export function languageName(name: string): string {
  const prefix = /^(?:model\.)?language_model\.(?:model\.)?(lm_head\.)?/;
  return name.replace(prefix, (_, head?: string) => head ?? "model.");
}

/** Whether a tensor is of the part of a larger model that sees images, or predicts further tokens. */
export function isBesideLanguage(name: string): boolean {
  return /^(?:model\.)?(?:vision_tower|vision_model|visual|multi_modal_projector|image_newline|mtp)\b/.test(name);
}
