import type { AdapterLayout, ParameterTable } from "@zerogate/core";
import { adamWStep, createAdamWState } from "@zerogate/core/training";
import type { TrainConfig } from "@zerogate/run-config";
import { trainedLayout } from "@zerogate/run-files";
import { expect, test } from "vitest";
import { optimizerOptions, sharedNumbers, takeUp } from "./training_state.ts";

test("numbers are those of the checkpoint, or those that training starts with and no moments, whatever was there", () => {
  const numbers = sharedNumbers(3);
  for (const array of Object.values(numbers) as Float32Array[]) {
    expect(array.buffer).toBeInstanceOf(SharedArrayBuffer);
    array.fill(9);
  }
  const start = Float32Array.of(1, 2, 3);
  const fresh = { initialParams: start, layout: { table: [] } };
  expect(takeUp(numbers, undefined, fresh)).toEqual({ m: new Float32Array(3), v: new Float32Array(3), t: [0] });
  expect(numbers.params).toEqual(start);
  const [params, m, v] = [4, 5, 6].map((value) => new Float32Array(3).fill(value)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const moments = takeUp(numbers, { params, moments: { m, v, t: [7] } }, fresh);
  expect(moments).toEqual({ m, v, t: [7] });
  expect([moments.m, moments.v]).toEqual([numbers.m, numbers.v]);
  expect(moments.m).toBe(numbers.m);
  expect(moments.v).toBe(numbers.v);
  expect(numbers.params).toEqual(params);
});

test("parts for images learn at their own rate, and frozen ones neither learn nor decay, gradient or not", () => {
  const part = {
    part: "any",
    layer: undefined,
    init: "zeros",
    decays: ["all"],
    learningRateFactor: 1,
    group: 0,
  } as const;
  const table = [
    { ...part, name: "text", fileName: "text", offset: 0, shape: [1], file: "adapter_model.safetensors" },
    { ...part, name: "seen", fileName: "seen", offset: 1, shape: [1], file: "vision.safetensors" },
  ] as unknown as ParameterTable;
  const config = { beta1: 0.9, beta2: 0.95, eps: 1e-8, decayGroup: "all", weightDecay: 0.5, visionLearningRate: 0.5 };
  const stepped = (visionParts: TrainConfig["visionParts"]) => {
    const trained = trainedLayout({ visionParts }, { table, length: 2 } as unknown as AdapterLayout);
    const params = Float32Array.of(1, 1);
    const options = optimizerOptions({ ...config, visionParts } as unknown as TrainConfig, trained.table);
    const own = params.subarray(0, trained.length);
    adamWStep(own, Float32Array.of(2, 2).subarray(0, trained.length), createAdamWState(trained.length), 0.1, options);
    return [...params].map((value) => Math.round(1e4 * value) / 1e4);
  };
  expect(stepped("trained")).toEqual([0.85, 0.925]);
  expect(stepped("frozen")).toEqual([0.85, 1]);
});

test("what is not trained has no moments, and those of a checkpoint that had them are left behind", () => {
  const numbers = sharedNumbers(5, 2);
  expect([numbers.params.length, numbers.m.length, numbers.v.length]).toEqual([5, 2, 2]);
  const fresh = { initialParams: new Float32Array(5).fill(1), layout: { table: [] } };
  const moments = { m: Float32Array.of(1, 2, 0, 0, 0), v: Float32Array.of(3, 4, 0, 0, 0), t: [7] };
  const taken = takeUp(numbers, { params: new Float32Array(5).fill(8), moments }, fresh);
  expect(taken).toEqual({ m: Float32Array.of(1, 2), v: Float32Array.of(3, 4), t: [7] });
  expect([...numbers.params]).toEqual([8, 8, 8, 8, 8]);
});
