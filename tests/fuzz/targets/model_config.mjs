/** What is accepted as a model's config.json has sizes that an engine can be built on. */
import { ok } from "node:assert";
import { parameterCount, parseModelConfig } from "@zerogate/core";
import { filesOf } from "../corpus.mjs";
import { parseJson } from "./adapter_config.mjs";

export const corpus = () => filesOf("tests/fuzz/corpus/model_config");

export function check(bytes) {
  const config = parseModelConfig(parseJson(bytes), "x");
  const { vocabSize, hiddenSize, intermediateSize, layers, heads, kvHeads, headDim, contextLength } = config;
  for (const size of [vocabSize, hiddenSize, intermediateSize, layers, heads, kvHeads, headDim, contextLength]) {
    ok(Number.isSafeInteger(size) && size >= 1, `${size} is no size`);
  }
  ok(heads % kvHeads === 0, "heads do not share keys evenly");
  ok(Number.isFinite(parameterCount(config)));
}
