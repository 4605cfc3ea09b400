/**
 * Reads a Hugging Face `config.json`. Defaults and the two spellings of the rotary settings are those of transformers 5.18
 * (`configuration_llama.py` and its siblings, `modeling_rope_utils.py`); what its forward would do differently from ours is
 * refused.
 */
import { InputError } from "../errors.ts";
import { isJsonObject, jsonFields } from "../formats/json_fields.ts";
import { architectures, type ModelType } from "./architecture.ts";
import type { ModelConfig } from "./config.ts";
import { parseGpt2 } from "./hf_config_gpt2.ts";
import { parseLlama } from "./hf_config_llama.ts";

/** Throws an `InputError` that lists everything in `json` that is missing, wrong or not supported. */
export function parseModelConfig(json: unknown, path: string): ModelConfig {
  const attempt = `Cannot use ${path} as a model config`;
  if (!isJsonObject(json)) throw new InputError(attempt, "it is not a JSON object");
  const problems: string[] = [];
  const fields = jsonFields(json, problems);
  const modelType = fields.raw("model_type");
  if (!isSupported(modelType)) {
    const found = modelType === undefined ? "missing" : JSON.stringify(modelType).slice(0, 200);
    throw new InputError(attempt, `model_type is ${found}, supported are ${Object.keys(architectures).join(", ")}`);
  }
  if (fields.raw("quantization_config") !== undefined) {
    fields.problem("quantization_config is set, supported are weights in F32, F16 or BF16: use the original model");
  }
  const config = modelType === "gpt2" ? parseGpt2(fields) : parseLlama(fields, json, modelType, problems);
  if (problems.length > 0) throw new InputError(attempt, problems);
  return config;
}

function isSupported(type: unknown): type is ModelType {
  return typeof type === "string" && Object.hasOwn(architectures, type);
}
