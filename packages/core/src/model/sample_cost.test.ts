/** The work of samples, counted by hand and against the calls of a pass. */
import { expect, test } from "vitest";
import { recordingEngine } from "../../test/recording_engine.ts";
import { tinyAdapter, tinyBases, tinyConfig, tinyModel, tinyTokens } from "../../test/tiny_model.ts";
import { packCell } from "../cell/tokens.ts";
import { cellGradient } from "./gradient.ts";
import { metMapCount } from "./hf_names.ts";
import { trainingCost } from "./sample_cost.ts";

const changesOf = (title: string) => tinyBases.find((base) => base.title.startsWith(title))?.changes ?? {};

test("layers with a delta net score no pairs, and their states cost by the token", () => {
  // Four layers, of which 1 and 3 attend; two of four have a backward, and one of these attends.
  const config = tinyConfig(changesOf("qwen3_5"));
  const { heads, headDim } = config;
  const maps = metMapCount(config) / 4;
  const state = 4 * 2 * 3; // N·B·A
  expect(trainingCost(config, 2)).toEqual({
    token: maps * 6 + state * (4 * 2 + 11 * 1),
    pair: heads * headDim * (2 + 2.5),
    label: 2 * config.vocabSize * config.hiddenSize,
  });
  expect(trainingCost(config, 0)).toMatchObject({ token: maps * 4 + state * 8, pair: heads * headDim * 2 });
  const plain = tinyConfig();
  expect(trainingCost(plain, 2).pair).toBe(plain.heads * plain.headDim * (3 + 2.5 * 2));
});

test("a pass of such a base attends and recurs as often as is counted", async () => {
  const { engine, calls } = recordingEngine();
  const { model, config } = tinyModel(changesOf("qwen3_5"), engine);
  await cellGradient(model, tinyAdapter(config), packCell(tinyTokens(config, [9]), [0]), 1);
  const state = 4 * 2 * 3;
  const { token, pair } = trainingCost(config, 3); // layers 1, 2 and 3, of which 2 recurs
  expect(pair / (config.heads * config.headDim) - 2.5 * 2).toBe(calls("attention").length);
  const [forward, backward] = [calls("gatedDelta").length, calls("gatedDeltaBackward").length];
  expect([forward, backward]).toEqual([2, 1]);
  expect(token - (metMapCount(config) / 4) * 7).toBe(state * (4 * forward + 11 * backward));
});
