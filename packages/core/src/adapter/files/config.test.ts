import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { InputError } from "../../errors.ts";
import { parseModelConfig } from "../../model/hf_config.ts";
import {
  type AdaptionPromptConfig,
  parseAdaptionPromptConfig,
  serializeAdaptionPromptConfig,
  taskTypes,
  validateAdaptionPromptConfig,
} from "./config.ts";

const model = parseModelConfig(
  {
    model_type: "llama",
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 4,
    num_attention_heads: 4,
  },
  "config.json",
);
const minimal = { peft_type: "ADAPTION_PROMPT", adapter_len: 3, adapter_layers: 2 };
const parse = (json: unknown) => parseAdaptionPromptConfig(json, "adapter_config.json");
const config: AdaptionPromptConfig = {
  peftType: "ADAPTION_PROMPT",
  targetModules: "self_attn",
  adapterLen: 3,
  adapterLayers: 2,
  taskType: "CAUSAL_LM",
  inferenceMode: false,
  baseModelNameOrPath: null,
  revision: null,
  autoMapping: null,
};

function problems(work: () => unknown): readonly string[] {
  try {
    work();
  } catch (error) {
    if (error instanceof InputError) return error.problems;
    throw error;
  }
  return [];
}

test("the nine classic keys are written as PEFT 0.8.2 writes them: sorted, two spaces, no newline at the end [A1, P21]", () => {
  expect(serializeAdaptionPromptConfig(config)).toBe(`{
  "adapter_layers": 2,
  "adapter_len": 3,
  "auto_mapping": null,
  "base_model_name_or_path": null,
  "inference_mode": true,
  "peft_type": "ADAPTION_PROMPT",
  "revision": null,
  "target_modules": "self_attn",
  "task_type": "CAUSAL_LM"
}`);
});

test("texts beyond ASCII and nested keys are written as Python's json.dumps writes them", () => {
  const autoMapping = { parent_library: "transformers.models.llama.modeling_llama", base_model_class: "LlamaModel" };
  const text = serializeAdaptionPromptConfig({
    ...config,
    taskType: null,
    autoMapping,
    baseModelNameOrPath: 'é\u{1f600}\u007f"/',
  });
  // Python 3: json.dumps("é\U0001f600\x7f\"/")
  expect(text).toContain('"base_model_name_or_path": "\\u00e9\\ud83d\\ude00\\u007f\\"/"');
  expect(text).toContain('"auto_mapping": {\n    "base_model_class": "LlamaModel",\n    "parent_library":');
  expect(parse(JSON.parse(text)).config).toEqual({
    ...config,
    taskType: null,
    autoMapping,
    baseModelNameOrPath: 'é\u{1f600}\u007f"/',
    inferenceMode: true,
  });
});

test.each([...taskTypes, null])("task type %s is taken, and comes back from its file [P21]", (taskType) => {
  const { config: read } = parse({ ...minimal, task_type: taskType });
  expect(read.taskType).toBe(taskType);
  expect(parse(JSON.parse(serializeAdaptionPromptConfig(read))).config).toEqual({ ...read, inferenceMode: true });
});

test("a minimal config is enough; what it leaves out is PEFT's default", () => {
  expect(parse(minimal)).toEqual({
    config: { ...config, targetModules: null, taskType: null },
    warnings: [],
  });
});

test("peft_version is read over, unknown keys and runtime_config are warned about [A1, P21]", () => {
  expect(parse({ ...minimal, peft_version: "0.21.0" }).warnings).toEqual([]);
  expect(parse({ ...minimal, alpha: 1, r: 8, runtime_config: {} }).warnings).toEqual([
    "adapter_config.json: runtime_config is ignored",
    "adapter_config.json: unknown keys are ignored: alpha, r",
  ]);
});

test.each([
  [{ ...minimal, peft_type: "LORA" }, 'peft_type is "LORA", needed is "ADAPTION_PROMPT"'],
  [{ adapter_len: 3, adapter_layers: 2 }, 'peft_type is missing, needed is "ADAPTION_PROMPT"'],
  [{ ...minimal, adapter_layers: 0 }, "adapter_layers is 0, needed is a whole number of layers, 1 or more"],
  [{ ...minimal, adapter_layers: -1 }, "adapter_layers is -1, needed is a whole number of layers, 1 or more"],
  [{ ...minimal, adapter_layers: 1.5 }, "adapter_layers is 1.5, needed is a whole number of layers, 1 or more"],
  [{ ...minimal, adapter_layers: "2" }, 'adapter_layers is "2", needed is a whole number of layers, 1 or more'],
  [{ ...minimal, adapter_layers: null }, "adapter_layers is missing, needed is a whole number of layers, 1 or more"],
  [{ ...minimal, adapter_len: 0 }, "adapter_len is 0, needed is a whole number of prompt tokens, 1 or more"],
  [{ ...minimal, adapter_len: -3 }, "adapter_len is -3, needed is a whole number of prompt tokens, 1 or more"],
  [{ ...minimal, adapter_len: null }, "adapter_len is missing, needed is a whole number of prompt tokens, 1 or more"],
  [
    { ...minimal, target_modules: ["self_attn"] },
    'target_modules is ["self_attn"], needed is one name, for example "self_attn", not a list',
  ],
  [
    { ...minimal, task_type: "CHAT" },
    'task_type is "CHAT", needed is one of SEQ_CLS, SEQ_2_SEQ_LM, CAUSAL_LM, TOKEN_CLS, QUESTION_ANS, FEATURE_EXTRACTION, or null',
  ],
  [{ ...minimal, inference_mode: "no" }, 'inference_mode is "no", needed is true or false'],
  [{ ...minimal, revision: 3 }, "revision is 3, needed is a text or null"],
  [{ ...minimal, auto_mapping: ["x"] }, 'auto_mapping is ["x"], needed is an object of texts, or null'],
  [[], "it is not a JSON object"],
])("%j is refused [A2, P21]", (json, message) => {
  expect(problems(() => parse(json))).toEqual([message]);
});

test("all problems of a file are reported at once", () => {
  expect(problems(() => parse({ ...minimal, adapter_len: 0, adapter_layers: 0, task_type: 1 })).length).toBe(3);
});

test("against the model: too many layers and other modules are refused, a missing module is filled in [A2]", () => {
  expect(problems(() => validateAdaptionPromptConfig({ ...config, adapterLayers: 5 }, model))).toEqual([
    "adapter_layers is 5, the model has 4 layers: use 1 to 4",
  ]);
  for (const targetModules of ["mlp", "attn", "model.layers.0.self_attn", ""]) {
    expect(problems(() => validateAdaptionPromptConfig({ ...config, targetModules }, model))).toEqual([
      `target_modules is "${targetModules}", a llama model takes prompts in its attention only: use "self_attn" or leave it out`,
    ]);
  }
  expect(validateAdaptionPromptConfig({ ...config, targetModules: null }, model).targetModules).toBe("self_attn");
  expect(validateAdaptionPromptConfig({ ...config, adapterLayers: 4 }, model).adapterLayers).toBe(4);
});

test("a config made in code is checked like a file", () => {
  const made = { ...config, adapterLayers: 0, targetModules: JSON.parse('["self_attn"]') };
  expect(problems(() => validateAdaptionPromptConfig(made, model)).length).toBe(2);
});

const golden = new URL("../../../../../shared/golden/", import.meta.url);
describe.skipIf(!existsSync(golden))("files of PEFT 0.21 (skipped without shared/golden)", () => {
  test.each(["llama_mha", "llama_gqa", "llama3_rope", "llama_bias", "mistral_gqa"])(
    "%s is written again but for peft_version [A1, P20]",
    (name) => {
      const text = readFileSync(new URL(`${name}/adapter/adapter_config.json`, golden), "utf8");
      const { config: read, warnings } = parse(JSON.parse(text));
      expect(warnings).toEqual([]);
      expect(serializeAdaptionPromptConfig(read)).toBe(text.replace('  "peft_version": "0.21.0",\n', ""));
    },
  );
});
