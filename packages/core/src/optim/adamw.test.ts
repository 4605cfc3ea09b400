import { expect, test } from "vitest";
import { adapterLayout } from "../adapter/kinds/adaption_prompt.ts";
import type { AdapterShape } from "../adapter/layout.ts";
import type { ModelConfig } from "../model/config.ts";
import { adamWStep, createAdamWState, updateRanges } from "./adamw.ts";

const shape: AdapterShape = { promptLength: 2, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none" };
const model: ModelConfig = {
  modelType: "llama",
  vocabSize: 8,
  hiddenSize: 4,
  intermediateSize: 8,
  layers: 3,
  heads: 2,
  kvHeads: 2,
  headDim: 2,
  contextLength: 16,
  normEps: 1e-5,
  ropeTheta: 1e4,
  ropeScaling: { type: "default" },
  slidingWindow: 0,
  slidingLayers: undefined,
  embedScale: 1,
  tiedEmbeddings: false,
  qkvBias: false,
  outputBias: false,
  mlpBias: false,
  bosTokenId: 1,
  eosTokenIds: [2],
};

/** Of a table with one group and one learning rate. */
const plain = { learningRateFactor: 1, group: 0 };

/** torch 2 on CPU: torch.optim.AdamW(betas=(.9, .95), eps=1e-8), group 1 decays by .02, group 2 by 0; lr .05, .04, .01. */
const torchSteps = [
  [0.4494999945163727, -1.1987500190734863, 1.9480050802230835, -0.05000000074505806, 0.75],
  [0.4329681396484375, -1.2153208255767822, 1.9660176038742065, -0.07710590958595276, 0.7645349502563477],
  [0.4267968535423279, -1.2185091972351074, 1.9654375314712524, -0.0784316435456276, 0.7659071683883667],
];
const gradients = [
  [0.3, -0.02, 1e-4, 0.7, 0.25],
  [-0.1, 0.05, -3e-4, 0, -0.5],
  [0.2, 0, 2e-4, -0.4, 0.125],
];

test("three steps give torch's parameters and moments, with and without decay and with a changing rate", () => {
  const params = Float32Array.of(0.5, -1.25, 2, 0, 0.8);
  const state = createAdamWState(5);
  const ranges = [
    { from: 0, to: 4, weightDecay: 0.02, ...plain },
    { from: 4, to: 5, weightDecay: 0, ...plain },
  ];
  for (const [i, learningRate] of [0.05, 0.04, 0.01].entries()) {
    const options = { beta1: 0.9, beta2: 0.95, eps: 1e-8, ranges };
    adamWStep(params, Float32Array.from(gradients[i]), state, learningRate, options);
    // torch rounds every operation to float32; an error of 1e-7 is half a unit in the last place of 1.25.
    for (const [p, expected] of torchSteps[i].entries()) expect(Math.abs(params[p] - expected)).toBeLessThan(2.5e-7);
  }
  expect(state.t).toEqual([3]);
  expect(state.m[0]).toBeCloseTo(0.03530000150203705, 8);
  expect(state.v[3]).toBeCloseTo(0.030111249536275864, 8);
});

test("decay alone multiplies by 1 − lr·decay, and a zero gradient without decay moves nothing", () => {
  const params = Float32Array.of(2, 3);
  const ranges = [
    { from: 0, to: 1, weightDecay: 0.5, ...plain },
    { from: 1, to: 2, weightDecay: 0, ...plain },
  ];
  adamWStep(params, new Float32Array(2), createAdamWState(2), 0.25, { beta1: 0.9, beta2: 0.95, eps: 1e-8, ranges });
  expect(params).toEqual(Float32Array.of(1.75, 3));
});

test("decay policies differ in the gate: scalar gates are spared by the original rule, per-head gates are not [E6]", () => {
  const scalar = adapterLayout(shape, model);
  expect(updateRanges(scalar.table, "none", 0.02)).toEqual([{ from: 0, to: 18, weightDecay: 0, ...plain }]);
  expect(updateRanges(scalar.table, "all", 0.02)).toEqual([{ from: 0, to: 18, weightDecay: 0.02, ...plain }]);
  expect(updateRanges(scalar.table, "original", 0.02)).toEqual([
    { from: 0, to: 8, weightDecay: 0.02, ...plain },
    { from: 8, to: 9, weightDecay: 0, ...plain },
    { from: 9, to: 17, weightDecay: 0.02, ...plain },
    { from: 17, to: 18, weightDecay: 0, ...plain },
  ]);
  const perHead = adapterLayout({ ...shape, gateSharing: "per-head" }, model);
  expect(updateRanges(perHead.table, "original", 0.02)).toEqual([{ from: 0, to: 20, weightDecay: 0.02, ...plain }]);
});

test("vectors of different length are refused", () => {
  const options = { beta1: 0.9, beta2: 0.95, eps: 1e-8, ranges: [] };
  expect(() => adamWStep(new Float32Array(2), new Float32Array(3), createAdamWState(2), 0.1, options)).toThrow(
    "Cannot use gradient: expected 2 elements for shape (length=2), got 3",
  );
});
