/** The training loop over a real pool of one thread and a tiny model; what it orders and tells is written down. */
import { createAdamWState, updateRanges } from "@zerogate/core";
import { createPlan, loadTemplate, loadTokenizer, measureSamples, type Plan } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import { only, openFaulty, setup } from "../../workers/test/faulty_pool.ts";
import type { RunInputs } from "../src/run/inputs.ts";
import { type Ending, type LoopOptions, type Rollback, type Standing, trainLoop } from "../src/run/loop.ts";
import type { Training } from "../src/run/train_step.ts";

const base = new URL("../world/base", import.meta.url).pathname;
const tokenizer = await loadTokenizer(base);
const template = await loadTemplate("alpaca");
const { tokens } = setup;
const sizes = measureSamples(tokens.train);
const recordOf = Int32Array.from(sizes.lengths, (_, sample) => sample);
const startParams = only.params.slice();

/** Two samples a step, six steps an epoch: the same plan in every test. */
export const plan: Plan = createPlan({
  ...sizes,
  samples: [...sizes.lengths.keys()],
  seed: 5,
  batchSize: 2,
  cellTokens: 64,
});

/** The first of a step's samples. */
export const sampleOf = (step: number): number => plan.step(step).samples[0] ?? 0;

export interface TinyLoop {
  readonly options: LoopOptions;
  readonly standing: Standing;
  readonly training: Training;
  /** In the order in which they came: `step 3`, `eval 2`, `void 4`, `save 4`, `warn …`. */
  readonly told: string[];
  readonly ending: Promise<Ending | Rollback>;
}

export interface TinyLoopChanges {
  readonly config?: Partial<TrainConfig>;
  readonly totalSteps?: number;
  readonly standing?: Partial<Standing>;
  /** Samples whose cells have numbers that cannot be used. */
  readonly bad?: readonly number[];
  readonly learningRate?: number;
  readonly options?: Partial<LoopOptions>;
  readonly isHeldOut?: boolean;
}

/** Starts the loop. Only steps, no validations and no checkpoint but the last, unless `changes` says otherwise. */
export async function startLoop(changes: TinyLoopChanges = {}): Promise<TinyLoop> {
  const { bad = [], totalSteps = 6, learningRate = 0, isHeldOut = true } = changes;
  const { layout, params } = only;
  params.set(startParams);
  const faults = bad.map((sample) => ({ kind: "nan", sample, times: Number.POSITIVE_INFINITY }));
  const { faulty: pool } = await openFaulty(1, faults);
  const config = {
    evalAtStart: false,
    evalEvery: 1000,
    saveEvery: 1000,
    saveMinutes: 0,
    earlyStopping: 0,
    onBadNumbers: "stop",
    rollbackSteps: 2,
    ...changes.config,
  } as TrainConfig;
  const samples = [...sizes.lengths.keys()];
  const heldOut = { set: "train", tokens: tokens.train, recordOf, samples, cells: samples.map((i) => [i]) } as const;
  const inputs = {
    plan,
    layout,
    totalSteps,
    tokenizer,
    template,
    train: { tokens: tokens.train, recordOf },
    heldOut: isHeldOut ? heldOut : undefined,
  } as unknown as RunInputs;
  const training: Training = {
    pool,
    job: only.id,
    params,
    moments: createAdamWState(layout.length),
    optimizer: { beta1: 0.9, beta2: 0.95, eps: 1e-8, ranges: updateRanges(layout.table, "none", 0) },
    schedule: { shape: "constant", peak: learningRate, minimum: 0, warmupSteps: 0, totalSteps },
    clipNorm: 0,
    copied: async () => {},
    version: (step) => step,
  };
  const told: string[] = [];
  const standing: Standing = {
    step: 0,
    best: undefined,
    evaluationsWithoutGain: 0,
    owesEvaluation: false,
    voided: [],
    ...changes.standing,
  };
  const options: LoopOptions = {
    config,
    inputs,
    training,
    standing,
    isNew: standing.step === 0,
    floor: 0,
    control: { signal: new AbortController().signal, saveRequests: { count: 0 } },
    receipt: { add: (line) => void (line.event === "void" && told.push(`void ${line.step}`)) },
    checkLock: async () => {},
    onMetrics: (line) => void told.push(`${"event" in line ? line.event : "step"} ${line.step}`),
    onWarning: (message) => void told.push(`warn ${message.split("\n")[0]}`),
    save: async () => void told.push(`save ${standing.step}`),
    settle: async () => {},
    ...changes.options,
  };
  return { options, standing, training, told, ending: trainLoop(options) };
}
