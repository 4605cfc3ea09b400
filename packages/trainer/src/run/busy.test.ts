/** What a plan says of its devices, with samples of which each is a known amount of work. */
import { createPlan } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import { expect, test } from "vitest";
import { busyDevices, idleAdvice } from "./busy.ts";

const samples = Array.from({ length: 256 }, (_, i) => i);
const length = 10;
const sizes = { lengths: new Int32Array(256).fill(length), labelled: new Int32Array(256).fill(length - 1) };
const cost = { token: 1, pair: 0, label: 0 };
type PlanConfig = Pick<TrainConfig, "seed" | "batchSize" | "cellTokens" | "cellMultiple" | "dropLast">;
const planOf = ({ cellMultiple, ...rest }: PlanConfig) =>
  createPlan({ ...sizes, samples, ...rest, even: cellMultiple > 0 ? { multiple: cellMultiple, cost } : undefined });
const model = {
  modelType: "llama",
  vocabSize: 9,
  hiddenSize: 4,
  intermediateSize: 8,
  heads: 2,
  kvHeads: 2,
  headDim: 2,
  layers: 3,
};
const layout = { base: { layers: 3 }, shape: { adaptedLayers: 1 }, table: [] };

function opened(changes: Partial<PlanConfig>) {
  const config = { seed: 1, batchSize: 8, cellTokens: 40, cellMultiple: 0, dropLast: false, ...changes };
  const inputs = { plan: planOf(config), planOf, sizes, model, layout };
  return { config: config as unknown as TrainConfig, inputs: inputs as never };
}

test("two cells a step keep two devices busy, and a quarter of eight", () => {
  expect(busyDevices(opened({}).inputs)).toEqual([
    { devices: 1, share: 1 },
    { devices: 2, share: 1 },
    { devices: 4, share: 0.5 },
    { devices: 8, share: 0.25 },
    { devices: 16, share: 0.125 },
  ]);
});

test("the smallest change that keeps devices busy is advised, and nothing if they are", () => {
  const advice = (changes: Partial<PlanConfig>, devices: number) => {
    const { config, inputs } = opened(changes);
    return idleAdvice(config, inputs, devices);
  };
  expect(advice({}, 1)).toBeUndefined();
  expect(advice({}, 2)).toBeUndefined();
  expect(advice({}, 8)).toBe("8 workers are busy 25% of the time with a batch of 8: --cell-multiple 8 gives 100%");
  expect(advice({}, 16)).toBe(
    "16 workers are busy 12% of the time with a batch of 8: --batch-size 16 --cell-multiple 16 gives 100%",
  );
  expect(advice({ cellMultiple: 8 }, 16)).toBe(
    "16 workers are busy 50% of the time with a batch of 8: --batch-size 16 --cell-multiple 16 gives 100%",
  );
  // A multiple of more devices serves fewer too.
  expect(advice({ cellMultiple: 16, batchSize: 4 }, 8)).toBe(
    "8 workers are busy 50% of the time with a batch of 4: --batch-size 8 gives 100%",
  );
  // No batch is larger than the data.
  expect(advice({ batchSize: 256, cellTokens: 2560 }, 512)).toBe(
    "512 workers are busy 0% of the time with a batch of 256: --cell-multiple 512 gives 50%",
  );
});
