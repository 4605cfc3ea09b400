/** An estimate's seconds, computed again by hand from a plan of known cells. */
import { adapterLayout, parseModelConfig } from "@zerogate/core";
import { trainingCost } from "@zerogate/core/training";
import { createPlan } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import { expect, test } from "vitest";
import { estimateRun, whatLimits } from "./estimate.ts";
import { estimateMemory } from "./memory_estimate.ts";
import type { PlannedData } from "./planned_data.ts";

const model = parseModelConfig(
  {
    model_type: "llama",
    vocab_size: 100,
    hidden_size: 8,
    intermediate_size: 24,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
  },
  "config.json",
);
const layout = adapterLayout(
  { promptLength: 2, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none" },
  model,
);
const cost = trainingCost(model, 2);
/** Twelve samples of ten tokens, of which nine are learnt; the last two are held out. */
const [SAMPLES, TOKENS] = [12, 10];
const tokens = {
  hash: "",
  ids: new Int32Array(SAMPLES * TOKENS),
  target: new Uint8Array(SAMPLES * TOKENS).fill(1),
  offsets: Float64Array.from({ length: SAMPLES + 1 }, (_, i) => TOKENS * i),
};
const sizes = { lengths: new Int32Array(SAMPLES).fill(TOKENS), labelled: new Int32Array(SAMPLES).fill(TOKENS - 1) };
const plan = createPlan({
  ...sizes,
  samples: Array.from({ length: 10 }, (_, i) => i),
  seed: 1,
  batchSize: 5,
  cellTokens: TOKENS,
});
const heldOut = {
  set: "train",
  tokens,
  recordOf: new Int32Array(SAMPLES),
  samples: Int32Array.of(10, 11),
  cells: [[10], [11]],
} as const;
const data = {
  train: { tokens, stats: { meanLength: TOKENS, longest: TOKENS } },
  heldOut,
  plan,
  sizes,
  totalSteps: 6,
} as unknown as PlannedData;
const config = { evalEvery: 0, evalAtStart: true, storage: "as-is", cellTokens: 64 } as TrainConfig;
const gpu = { devices: 2, teraflops: 100, gigabytes: 80, utilization: 0.25, leaderMs: 7 };

/** Seconds of this many multiplications on one of these devices. */
const seconds = (multiplications: number) => (2 * multiplications) / 25e12;
const sample = TOKENS * cost.token + TOKENS ** 2 * cost.pair + (TOKENS - 1) * cost.label;

test("five equal cells take two devices as long as three, and the parts add up to the whole", () => {
  const time = estimateRun(config, data, { model, layout }, gpu);
  expect(time.computing).toBeCloseTo(6 * 2.5 * seconds(sample), 15);
  expect(time.waiting).toBeCloseTo(6 * 0.5 * seconds(sample), 15);
  expect(time.leader).toBeCloseTo(6 * 0.007, 12);
  const { computing, waiting, leader, validation, total } = time;
  expect(total).toBeCloseTo(computing + waiting + leader + validation, 12);
  expect(time.deviceHours).toBeCloseTo((2 * total) / 3600, 12);
  expect(time.busy).toBeCloseTo(computing / (computing + waiting + leader), 12);
  expect(time.tokensPerSecond).toBeCloseTo((6 * 5 * TOKENS) / total, 6);
});

test("validations are forward passes: at the start, after each epoch, and of base and adapter at the end", () => {
  const forward = trainingCost(model, 0);
  const once = 2 * (TOKENS * forward.token + TOKENS ** 2 * forward.pair + (TOKENS - 1) * 100 * 8);
  const of = (changes: object) => estimateRun({ ...config, ...changes }, data, { model, layout }, gpu).validation;
  expect(of({})).toBeCloseTo(6 * seconds(once / 2), 15); // two steps an epoch, three epochs
  expect(of({ evalAtStart: false })).toBeCloseTo(5 * seconds(once / 2), 15);
  expect(of({ evalEvery: 4 })).toBeCloseTo(5 * seconds(once / 2), 15);
  const none = { ...data, heldOut: undefined };
  expect(estimateRun(config, none, { model, layout }, gpu).validation).toBe(0);
});

test("linear maps in int8 take a byte a number and a scale a row, in int4 18 bytes for 32 numbers, all else two a number [M-nf4, M-int4]", () => {
  const of = (storage: string) =>
    estimateRun({ ...config, storage } as TrainConfig, data, { model, layout }, gpu).memory;
  const parameters = 3 * (4 * 64 + 3 * 8 * 24 + 2 * 8) + 2 * 800 + 8;
  const maps = 3 * (4 * 64 + 3 * 8 * 24);
  const rows = 3 * (24 + 8 + 48 + 8);
  expect(of("as-is") - of("int8")).toBe(2 * maps - (maps + 4 * rows));
  expect(of("as-is") - of("int4")).toBe(2 * maps - 18 * rows); // a row is a part of one block
  expect(of("as-is") - of("nf4")).toBe(2 * maps - 36 * rows);
  const own = estimateMemory(model, layout, {
    cellTokens: 64,
    workers: 1,
    weights: 2 * parameters,
    engine: { weightCopies: 1, packedBytes: 0, storage: "as-is", traits: {} },
    isIsolated: false,
  });
  expect(of("as-is")).toBe(own.perWorker);
});

test("what limits is the largest part beside computing, if it is a tenth of that or more", () => {
  const time = { ...estimateRun(config, data, { model, layout }, gpu), computing: 100, memory: 79e9 };
  const parts = { waiting: 0, leader: 0, validation: 0 };
  expect(whatLimits({ ...time, ...parts }, gpu)).toMatch(/^computing: more devices/);
  expect(whatLimits({ ...time, ...parts, leader: 9 }, gpu)).toMatch(/^computing/);
  expect(whatLimits({ ...time, ...parts, leader: 11, waiting: 10 }, gpu)).toMatch(/^the leader: /);
  expect(whatLimits({ ...time, ...parts, waiting: 12, leader: 11 }, gpu)).toContain("--cell-multiple 2");
  expect(whatLimits({ ...time, ...parts, validation: 12, leader: 11 }, gpu)).toContain("--eval-every");
  expect(whatLimits({ ...time, ...parts, memory: 81e9, validation: 12 }, gpu)).toMatch(/^memory: /);
});
