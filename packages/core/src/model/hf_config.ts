/**
 * Reads a Hugging Face `config.json`. Defaults and the two spellings of the rotary settings are those of transformers 5.18
 * (`configuration_llama.py` and its siblings, `modeling_rope_utils.py`); what its forward would do differently from ours is
 * refused.
 */
import { InputError } from "../errors.ts";
import { isJsonObject, jsonFields, shown } from "../formats/json_fields.ts";
import type { ModelConfig } from "./config.ts";
import { families, findFamily, missingIn } from "./families/families.ts";
import type { Family } from "./families/family.ts";
import { checkKeys } from "./hf_keys.ts";
import { holderTypes, languageConfig } from "./text_config.ts";

/** Fields in which a null is a value: none, or the one that follows from other fields. */
const nullable = new Set(
  `head_dim num_key_value_heads n_inner sliding_window layer_types rope_parameters rope_scaling partial_rotary_factor
  use_bidirectional_attention attn_logit_softcapping final_logit_softcapping bos_token_id eos_token_id dtype torch_dtype quantization_config`.split(
    /\s+/,
  ),
);

function isNullable(name: string, { notNull = [] }: Family): boolean {
  return nullable.has(name) && !notNull.includes(name);
}

/**
 * Reads a `config.json` of transformers, whose folder `readModelConfig` of `/node` reads.
 *
 * @param path names the file in errors.
 * @param onWarning receives keys that have no meaning here. @default nobody
 * @throws InputError that lists everything in `json` that is missing, wrong or not supported.
 * @example
 * const json = { model_type: "llama", vocab_size: 64, hidden_size: 8, intermediate_size: 12, num_hidden_layers: 4, num_attention_heads: 4 };
 * parseModelConfig(json, "config.json").layers; // 4
 */
export function parseModelConfig(
  json: unknown,
  path: string,
  onWarning: (message: string) => void = () => {},
): ModelConfig {
  const attempt = `Cannot use ${path} as a model config`;
  if (!isJsonObject(json)) throw new InputError(attempt, "it is not a JSON object");
  const problems: string[] = [];
  const { json: own, holder } = languageConfig(json, attempt);
  const fields = jsonFields(own, problems);
  const modelType = fields.raw("model_type");
  const family = findFamily(modelType);
  if (!family) {
    const found = modelType === undefined ? "missing" : shown(modelType);
    const missing = missingIn(modelType);
    const why = missing === undefined ? "" : `, which has ${missing}: not computed here`;
    const supported = [...families.map((one) => one.modelType), ...holderTypes].join(", ");
    throw new InputError(
      attempt,
      `${holder ? "text_config." : ""}model_type is ${found}${why}, supported are ${supported}`,
    );
  }
  if (fields.raw("quantization_config") !== undefined) {
    fields.problem("quantization_config is set, supported are weights in F32, F16 or BF16: use the original model");
  }
  const unused: string[] = [];
  const config: ModelConfig = {
    modelType: family.modelType,
    ...(holder !== undefined && { inside: holder }),
    ...family.read({ fields, problems, unused }),
  };
  for (const name of fields.asked) {
    if (own[name] !== null || isNullable(name, family) || problems.some((text) => text.startsWith(`${name} is `)))
      continue;
    fields.problem(`${name} is null, which is a value in no ${family.modelType} model: leave it out for the default`);
  }
  checkKeys(fields, own, config, unused, onWarning);
  if (holder !== undefined) {
    onWarning(
      `config.json is of a ${holder} model: what is used is its language model, a ${family.modelType} model, and not what it has for images`,
    );
  }
  if (problems.length > 0) throw new InputError(attempt, problems);
  return config;
}
