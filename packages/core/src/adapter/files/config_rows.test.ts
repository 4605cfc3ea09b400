/** Spec §1.3 row by row (A2): what PEFT accepts, misreads or fails on later is refused here, and says what is needed. */
import { describe, expect, test } from "vitest";
import { tinyConfig } from "../../../test/tiny_model.ts";
import { InputError } from "../../errors.ts";
import { parseModelConfig } from "../../model/hf_config.ts";
import {
  type AdaptionPromptConfig,
  adaptionPromptConfig,
  parseAdaptionPromptConfig,
  taskTypes,
  validateAdaptionPromptConfig,
} from "./config.ts";

const model = tinyConfig({ layers: 4 });

/** A config of these JSON fields, from a file and then against the model. */
function use(fields: Readonly<Record<string, unknown>>): AdaptionPromptConfig {
  const json = { peft_type: "ADAPTION_PROMPT", adapter_len: 3, adapter_layers: 2, ...fields };
  return validateAdaptionPromptConfig(parseAdaptionPromptConfig(json, "adapter_config.json").config, model);
}

const rows: [row: string, fields: Record<string, unknown>, message: string][] = [
  ["an invalid task_type", { task_type: "CHAT" }, `needed is one of ${taskTypes.join(", ")}, or null`],
  [
    "more adapter_layers than the model has",
    { adapter_layers: 5 },
    "adapter_layers is 5, the model has 4 layers: use 1 to 4",
  ],
  ["target_modules that match nothing", { target_modules: "attention" }, 'use "self_attn" or leave it out'],
  ["adapter_layers left out", { adapter_layers: null }, "adapter_layers is missing, needed is a whole number"],
  ["adapter_len left out", { adapter_len: null }, "adapter_len is missing, needed is a whole number"],
  ["adapter_layers 0, all layers to PEFT", { adapter_layers: 0 }, "adapter_layers is 0, needed is"],
  ["adapter_layers -1, all but the first to PEFT", { adapter_layers: -1 }, "adapter_layers is -1, needed is"],
  ["adapter_layers as a fraction", { adapter_layers: 2.5 }, "adapter_layers is 2.5, needed is"],
  ["adapter_layers as a text", { adapter_layers: "2" }, 'adapter_layers is "2", needed is'],
  ["adapter_len 0, which PEFT takes for nothing", { adapter_len: 0 }, "adapter_len is 0, needed is"],
  ["adapter_len below 0", { adapter_len: -3 }, "adapter_len is -3, needed is"],
  ["a list of target_modules", { target_modules: ["self_attn"] }, "not a list"],
  ['target_modules "mlp"', { target_modules: "mlp" }, "takes prompts in its attention only"],
  [
    'target_modules "attn", a suffix without its dot',
    { target_modules: "attn" },
    "takes prompts in its attention only",
  ],
];

describe("refused are [A2]", () => {
  test.each(rows)("%s", (_, fields, message) => {
    expect(() => use(fields)).toThrow(InputError);
    expect(() => use(fields)).toThrow(message);
  });

  test("a model type that is not supported, with those that are", () => {
    const json = { model_type: "falcon", vocab_size: 8, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 1 };
    expect(() => parseModelConfig(json, "config.json")).toThrow(
      /model_type is "falcon", which has .*ALiBi.*: not computed here, supported are .*llama.*mistral/,
    );
  });

  test("nothing else: the same config with sound values is used", () => {
    expect(use({})).toMatchObject({ adapterLen: 3, adapterLayers: 2, targetModules: "self_attn", taskType: null });
    for (const task_type of taskTypes) expect(use({ task_type }).taskType).toBe(task_type);
  });
});

test("a config made in code has PEFT's defaults and is checked as a file is", () => {
  expect(adaptionPromptConfig({ adapterLen: 10, adapterLayers: 30 })).toEqual({
    peftType: "ADAPTION_PROMPT",
    targetModules: null,
    adapterLen: 10,
    adapterLayers: 30,
    taskType: null,
    inferenceMode: false,
    baseModelNameOrPath: null,
    revision: null,
    autoMapping: null,
  });
  expect(() => adaptionPromptConfig({ adapterLen: 0, adapterLayers: Number.NaN })).toThrow(
    /adapter_len is 0.*\n.*adapter_layers is null|adapter_layers is missing/s,
  );
});
