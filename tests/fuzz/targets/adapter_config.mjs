/** What is accepted has sound values and is the same again once written and read, byte for byte the second time. */
import { deepStrictEqual, ok, strictEqual } from "node:assert";
import { InputError, parseAdaptionPromptConfig, serializeAdaptionPromptConfig } from "@zerogate/core";
import { parseStrictJson } from "@zerogate/core/formats";
import { filesOf } from "../corpus.mjs";

export const corpus = () => filesOf("tests/fuzz/corpus/adapter_config");

export function check(bytes) {
  const { config } = parseAdaptionPromptConfig(parseJson(bytes), "x");
  ok(Number.isInteger(config.adapterLen) && config.adapterLen >= 1);
  ok(Number.isInteger(config.adapterLayers) && config.adapterLayers >= 1);
  const text = serializeAdaptionPromptConfig(config);
  const { config: again, warnings } = parseAdaptionPromptConfig(JSON.parse(text), "y");
  deepStrictEqual(again, { ...config, inferenceMode: true });
  deepStrictEqual(warnings, []);
  strictEqual(serializeAdaptionPromptConfig(again), text);
}

/** As files are read. */
export function parseJson(bytes) {
  try {
    return parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new InputError("Cannot read x", String(cause), { cause });
  }
}
