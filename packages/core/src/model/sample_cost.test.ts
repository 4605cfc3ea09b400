/** The work of samples, counted by hand and against the calls of a pass. */
import { expect, test } from "vitest";
import { recordingEngine } from "../../test/recording_engine.ts";
import { tinyBases } from "../../test/tiny_bases.ts";
import { tinyAdapter, tinyConfig, tinyModel, tinyTokens } from "../../test/tiny_model.ts";
import { packCell } from "../cell/tokens.ts";
import { cellGradient } from "./gradient.ts";
import { metMapCount } from "./hf_names.ts";
import { deltaNumbers, layersOfKinds, trainingCost } from "./sample_cost.ts";

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

test("layers are counted from the top by what mixes their tokens", () => {
  const config = tinyConfig(changesOf("qwen3_5")); // 1 and 3 of four attend
  expect([4, 3, 1, 0].map((depth) => layersOfKinds(config, depth))).toEqual([
    { attending: 2, delta: 2 },
    { attending: 2, delta: 1 },
    { attending: 1, delta: 0 },
    { attending: 0, delta: 0 },
  ]);
  expect(layersOfKinds(tinyConfig(), 2)).toEqual({ attending: 2, delta: 0 });
});

test("a token keeps of a delta net what its backward reads", () => {
  // C = 2·2·3 + 4·2 = 20 channels, M = 8 numbers of values.
  const deltaNet = { layers: [0], keyHeads: 2, valueHeads: 4, keyDim: 3, valueDim: 2, taps: 3 };
  expect(deltaNumbers(deltaNet)).toEqual({ kept: 3 * 4 + 8 + 1, keptInner: 20 + 16, work: 36, workInner: 60 });
});
