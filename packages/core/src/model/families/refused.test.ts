import { expect, test } from "vitest";
import { parseModelConfig } from "../hf_config.ts";
import { families } from "./families.ts";
import { missingIn } from "./refused.ts";

/** What users have tried, and a word of what each of them lacks. */
test.each([
  ["gemma4", "keys and values of others"],
  ["gemma3n", "embeddings of each layer"],
  ["gpt_oss", "attention sinks"],
  ["llama4", "in chunks"],
  ["falcon", "ALiBi"],
  ["opt", "positions that begin at 2"],
  ["bloom", "ALiBi"],
  ["deepseek_v2", "latent attention"],
  ["deepseek_v3", "latent attention"],
  ["cohere", "rotation of neighbouring numbers"],
  ["phimoe", "sparse mixing"],
  ["olmo", "clip_qkv"],
  ["granitemoehybrid", "Mamba"],
  ["qwen2_moe", "a shared expert"],
  ["qwen3_vl", "mrope"],
  ["jamba", "Mamba"],
])("%s is refused, and what it has is named", (model_type, word) => {
  const missing = missingIn(model_type) ?? "";
  expect(missing).toContain(word);
  expect(() => parseModelConfig({ model_type }, "config.json")).toThrow(
    `Cannot use config.json as a model config: model_type is "${model_type}", which has ${missing}: not computed here, supported are llama, `,
  );
});

test("no family is both computed and refused", () => {
  expect(families.filter(({ modelType }) => missingIn(modelType) !== undefined)).toEqual([]);
  expect([missingIn("llama5"), missingIn("toString"), missingIn(7)]).toEqual([undefined, undefined, undefined]);
});
