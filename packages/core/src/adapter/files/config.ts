/**
 * PEFT's `AdaptionPromptConfig` (`adapter_config.json`): the same nine fields, byte for byte on disk, but checked.
 * PEFT 0.21 accepts a layer count of 0 (adapts all layers), negative ones and more; see `isSound`.
 */
import { InputError } from "../../errors.ts";
import { isJsonObject } from "../../formats/json_fields.ts";
import type { ModelConfig } from "../../model/config.ts";
import { architectureOf } from "../../model/families/families.ts";
import { adaptableLayers } from "../layout.ts";

/** Values of PEFT's `task_type`. */
export const taskTypes = [
  "SEQ_CLS",
  "SEQ_2_SEQ_LM",
  "CAUSAL_LM",
  "TOKEN_CLS",
  "QUESTION_ANS",
  "FEATURE_EXTRACTION",
] as const;

/** A task of PEFT; for adaption prompts it changes nothing that is computed. */
export type TaskType = (typeof taskTypes)[number];

/** PEFT's fields by PEFT's names; `null` is its `None`. */
export interface AdaptionPromptConfig {
  readonly peftType: "ADAPTION_PROMPT";
  /** Attention module that gets the prompts; `null` until the model type is known. */
  readonly targetModules: string | null;
  /** Prompt tokens per adapted layer, K. */
  readonly adapterLen: number;
  /** Adapted layers, counted from the output side, L. */
  readonly adapterLayers: number;
  readonly taskType: TaskType | null;
  readonly inferenceMode: boolean;
  readonly baseModelNameOrPath: string | null;
  readonly revision: string | null;
  /** Python class and module of the base, for PEFT's generic wrapper. */
  readonly autoMapping: Readonly<Record<string, string | null>> | null;
}

/**
 * Makes a config in memory, with PEFT's defaults for what is left out; `validateAdaptionPromptConfig` checks it against a model.
 *
 * @throws InputError that lists every problem that shows without the model.
 * @example
 * const peft = adaptionPromptConfig({ adapterLen: 10, adapterLayers: 30, taskType: "CAUSAL_LM" });
 */
export function adaptionPromptConfig(
  fields: Pick<AdaptionPromptConfig, "adapterLen" | "adapterLayers"> & Partial<AdaptionPromptConfig>,
): AdaptionPromptConfig {
  const config = {
    peftType: "ADAPTION_PROMPT",
    targetModules: null,
    taskType: null,
    inferenceMode: false,
    baseModelNameOrPath: null,
    revision: null,
    autoMapping: null,
    ...fields,
  } as const;
  const problems: string[] = [];
  if (!isSound(config, problems)) throw new InputError("Cannot use this adapter config", problems);
  return config;
}

/** JSON name, our name. `peft_version` is read over: PEFT writes it since 0.18, and 0.8 refuses a file that has it. */
const fieldNames = {
  adapter_layers: "adapterLayers",
  adapter_len: "adapterLen",
  auto_mapping: "autoMapping",
  base_model_name_or_path: "baseModelNameOrPath",
  inference_mode: "inferenceMode",
  peft_type: "peftType",
  revision: "revision",
  target_modules: "targetModules",
  task_type: "taskType",
} as const satisfies Readonly<Record<string, keyof AdaptionPromptConfig>>;

/**
 * Reads an `adapter_config.json` of any PEFT version. Needs `peft_type`, `adapter_len` and `adapter_layers`; keys that mean
 * nothing here become warnings.
 *
 * @param path names the file in errors.
 * @throws InputError that lists every problem that shows without the model.
 * @example
 * const json = { peft_type: "ADAPTION_PROMPT", adapter_len: 10, adapter_layers: 30 };
 * const { config, warnings } = parseAdaptionPromptConfig(json, "adapter_config.json");
 */
export function parseAdaptionPromptConfig(
  json: unknown,
  path: string,
): { config: AdaptionPromptConfig; warnings: string[] } {
  const attempt = `Cannot use ${path} as an adapter config`;
  if (!isJsonObject(json)) throw new InputError(attempt, "it is not a JSON object");
  if (json["peft_type"] !== "ADAPTION_PROMPT") {
    throw new InputError(attempt, `peft_type is ${shown(json["peft_type"])}, needed is "ADAPTION_PROMPT"`);
  }
  const config = {
    peftType: json["peft_type"],
    targetModules: json["target_modules"] ?? null,
    adapterLen: json["adapter_len"],
    adapterLayers: json["adapter_layers"],
    taskType: json["task_type"] ?? null,
    inferenceMode: json["inference_mode"] ?? false,
    baseModelNameOrPath: json["base_model_name_or_path"] ?? null,
    revision: json["revision"] ?? null,
    autoMapping: json["auto_mapping"] ?? null,
  };
  const problems: string[] = [];
  if (!isSound(config, problems)) throw new InputError(attempt, problems);
  const warnings: string[] = [];
  if (Object.hasOwn(json, "runtime_config")) warnings.push(`${path}: runtime_config is ignored`);
  const known = new Set([...Object.keys(fieldNames), "peft_version", "runtime_config"]);
  const unknown = Object.keys(json).filter((key) => !known.has(key));
  if (unknown.length > 0) warnings.push(`${path}: unknown keys are ignored: ${unknown.join(", ").slice(0, 500)}`);
  return { config, warnings };
}

/**
 * The nine classic keys as Python's `json.dumps(…, indent=2, sort_keys=True)` writes them: readable by every PEFT from
 * 0.8.2 on. `inference_mode` is always true on disk, as in PEFT.
 *
 * @example
 * const peft = adaptionPromptConfig({ adapterLen: 10, adapterLayers: 30, taskType: "CAUSAL_LM" });
 * JSON.parse(serializeAdaptionPromptConfig(peft)).adapter_len; // 10
 */
export function serializeAdaptionPromptConfig(config: AdaptionPromptConfig): string {
  const autoMapping = config.autoMapping && Object.fromEntries(Object.entries(config.autoMapping).toSorted(byKey));
  const values = { ...config, autoMapping, inferenceMode: true };
  const json = Object.fromEntries(Object.entries(fieldNames).map(([key, name]) => [key, values[name]]));
  return JSON.stringify(json, null, 2).replace(/[\u007f-\uffff]/g, escaped);
}

/**
 * Checks a config, from a file or from a caller, against the model that it is for, and fills in `targetModules`.
 *
 * @throws InputError that lists all problems.
 * @example
 * const peft = adaptionPromptConfig({ adapterLen: 10, adapterLayers: 2, taskType: "CAUSAL_LM" });
 * validateAdaptionPromptConfig(peft, config).targetModules; // "self_attn"
 */
export function validateAdaptionPromptConfig(config: AdaptionPromptConfig, model: ModelConfig): AdaptionPromptConfig {
  const problems: string[] = [];
  isSound(config, problems);
  const { targetModules, adapterLayers } = config;
  const module = architectureOf(model).modules.attention;
  if (typeof targetModules === "string" && targetModules !== module) {
    problems.push(
      `target_modules is ${shown(targetModules)}, a ${model.modelType} model takes prompts in its attention only: ` +
        `use "${module}" or leave it out`,
    );
  }
  const most = adaptableLayers(model).length;
  if (Number.isInteger(adapterLayers) && adapterLayers > most) {
    const layers = most === model.layers ? "layers" : `layers of ${model.layers} that attend`;
    problems.push(`adapter_layers is ${adapterLayers}, the model has ${most} ${layers}: use 1 to ${most}`);
  }
  if (problems.length > 0) throw new InputError("Cannot use this adapter config", problems);
  return { ...config, targetModules: module };
}

/** Collects the problems of a config without its model. Accepts what the type forbids: callers may write JavaScript. */
function isSound(
  config: Readonly<Record<keyof AdaptionPromptConfig, unknown>>,
  problems: string[],
): config is AdaptionPromptConfig {
  const wrong = (key: string, value: unknown, needed: string) => {
    problems.push(`${key} is ${shown(value)}, needed is ${needed}`);
  };
  const { peftType, adapterLen, adapterLayers, targetModules, taskType, inferenceMode, autoMapping } = config;
  if (peftType !== "ADAPTION_PROMPT") wrong("peft_type", peftType, '"ADAPTION_PROMPT"');
  if (!isCount(adapterLen)) wrong("adapter_len", adapterLen, "a whole number of prompt tokens, 1 or more");
  if (!isCount(adapterLayers)) wrong("adapter_layers", adapterLayers, "a whole number of layers, 1 or more");
  if (!isTextOrNull(targetModules))
    wrong("target_modules", targetModules, 'one name, for example "self_attn", not a list');
  if (taskType !== null && !taskTypes.some((type) => type === taskType)) {
    wrong("task_type", taskType, `one of ${taskTypes.join(", ")}, or null`);
  }
  if (typeof inferenceMode !== "boolean") wrong("inference_mode", inferenceMode, "true or false");
  if (!isTextOrNull(config.baseModelNameOrPath)) {
    wrong("base_model_name_or_path", config.baseModelNameOrPath, "a text or null");
  }
  if (!isTextOrNull(config.revision)) wrong("revision", config.revision, "a text or null");
  if (autoMapping !== null && !(isJsonObject(autoMapping) && Object.values(autoMapping).every(isTextOrNull))) {
    wrong("auto_mapping", autoMapping, "an object of texts, or null");
  }
  return problems.length === 0;
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** More than 2³¹ prompts or layers are an accident. */
function isCount(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value < 2 ** 31;
}

function isTextOrNull(value: unknown): boolean {
  return value === null || typeof value === "string";
}

function shown(value: unknown): string {
  return value === undefined || value === null ? "missing" : JSON.stringify(value).slice(0, 200);
}

function byKey([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}
