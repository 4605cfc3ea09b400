/**
 * Reads a Hugging Face `config.json`. Defaults and the two spellings of the rotary settings are those of transformers 5.18
 * (`configuration_llama.py` and its siblings, `modeling_rope_utils.py`); what its forward would do differently from ours is
 * refused.
 */
import { InputError } from "../errors.ts";
import { isJsonObject, jsonFields, shown } from "../formats/json_fields.ts";
import { architectures, type ModelType } from "./architecture.ts";
import type { ModelConfig } from "./config.ts";
import { parseGpt2 } from "./hf_config_gpt2.ts";
import { parseLlama } from "./hf_config_llama.ts";
import { checkKeys } from "./hf_keys.ts";

/** Fields in which a null is a value: none, or the one that follows from other fields. */
const nullable = new Set(
  `head_dim num_key_value_heads n_inner sliding_window layer_types rope_parameters rope_scaling partial_rotary_factor
  use_bidirectional_attention bos_token_id eos_token_id dtype torch_dtype quantization_config`.split(/\s+/),
);

/** Gemma's sizes of heads have defaults of their own. */
function isNullable(name: string, modelType: ModelType): boolean {
  return nullable.has(name) && !(modelType === "gemma" && /^(?:head_dim|num_key_value_heads)$/.test(name));
}

/**
 * Throws an `InputError` that lists everything in `json` that is missing, wrong or not supported. Keys that have no meaning
 * here are named to `onWarning`.
 */
export function parseModelConfig(
  json: unknown,
  path: string,
  onWarning: (message: string) => void = () => {},
): ModelConfig {
  const attempt = `Cannot use ${path} as a model config`;
  if (!isJsonObject(json)) throw new InputError(attempt, "it is not a JSON object");
  const problems: string[] = [];
  const fields = jsonFields(json, problems);
  const modelType = fields.raw("model_type");
  if (!isSupported(modelType)) {
    const found = modelType === undefined ? "missing" : shown(modelType);
    throw new InputError(attempt, `model_type is ${found}, supported are ${Object.keys(architectures).join(", ")}`);
  }
  if (fields.raw("quantization_config") !== undefined) {
    fields.problem("quantization_config is set, supported are weights in F32, F16 or BF16: use the original model");
  }
  const unused: string[] = [];
  const config = modelType === "gpt2" ? parseGpt2(fields) : parseLlama(fields, modelType, problems, unused);
  for (const name of fields.asked) {
    if (json[name] !== null || isNullable(name, modelType) || problems.some((text) => text.startsWith(`${name} is `)))
      continue;
    fields.problem(`${name} is null, which is a value in no ${modelType} model: leave it out for the default`);
  }
  checkKeys(fields, json, config, unused, onWarning);
  if (problems.length > 0) throw new InputError(attempt, problems);
  return config;
}

function isSupported(type: unknown): type is ModelType {
  return typeof type === "string" && Object.hasOwn(architectures, type);
}
