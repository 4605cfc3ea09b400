/** The training loop over a real pool of one thread and a tiny model; what it orders and tells is written down. */
import { plainArithmetic, updateRanges } from "@zerogate/core/training";
import { createPlan, loadTemplate, loadTokenizer, measureSamples, type Plan } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import type { MetricsLine, ReceiptBody } from "@zerogate/run-files";
import { only, openFaulty, setup } from "../../workers/test/faulty_pool.ts";
import type { Job, RunContext } from "../src/run/context.ts";
import type { RunInputs } from "../src/run/inputs.ts";
import { trainLoop } from "../src/run/loop.ts";
import type { Ending, Rollback, Standing } from "../src/run/standing.ts";
import { sharedNumbers } from "../src/run/training_state.ts";
import type { RunView } from "../src/run/view.ts";
import { noLock, noRecords, noWriter } from "../src/team/other_ranks.ts";
import type { Team } from "../src/team/team.ts";

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
  readonly job: Job;
  readonly standing: Standing;
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
  /** In place of what writes down: what the loop calls. */
  readonly options?: {
    readonly control?: Pick<RunContext, "signal" | "saveRequests">;
    readonly onMetrics?: (line: MetricsLine) => void;
    readonly receipt?: { add(line: ReceiptBody): void };
    readonly checkLock?: () => Promise<void>;
    readonly save?: () => Promise<void>;
    /** Undefined: another rank writes. */
    readonly settle?: (() => Promise<void>) | undefined;
    readonly floor?: number;
  };
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
    out: only.id,
    evalAtStart: false,
    evalEvery: 1000,
    saveEvery: 1000,
    sampleEvery: 0,
    saveMinutes: 0,
    earlyStopping: 0,
    onBadNumbers: "stop",
    rollbackSteps: 2,
    clipNorm: 0,
    ...changes.config,
  } as TrainConfig;
  const samples = Int32Array.from(sizes.lengths.keys());
  const cells = Array.from(samples, (i) => [i]);
  const heldOut = { set: "train", tokens: tokens.train, recordOf, samples, cells } as const;
  const inputs = {
    plan,
    layout,
    totalSteps,
    schedule: { shape: "constant", peak: learningRate, minimum: 0, warmupSteps: 0, totalSteps },
    tokenizer,
    template,
    train: { tokens: tokens.train, recordOf },
    heldOut: isHeldOut ? heldOut : undefined,
  } as unknown as RunInputs;
  const told: string[] = [];
  const standing: Standing = {
    step: 0,
    best: undefined,
    evaluationsWithoutGain: 0,
    owesEvaluation: false,
    skipped: [],
    ...changes.standing,
  };
  const { settle = async () => {}, floor = 0, ...hooks } = changes.options ?? {};
  const isFirst = !("settle" in (changes.options ?? {})) || changes.options?.settle !== undefined;
  const {
    onMetrics = (line: MetricsLine) => void told.push(`${"event" in line ? line.event : "step"} ${line.step}`),
    save = async () => void told.push(`save ${standing.step}`),
    receipt = { add: (line: ReceiptBody) => void (line.event === "void" && told.push(`void ${line.step}`)) },
    checkLock = async () => {},
    control = { signal: new AbortController().signal, saveRequests: { count: 0 } },
  } = hooks;
  const numbers = { ...sharedNumbers(layout.length), params };
  const job: Job = {
    id: only.id,
    run: {
      config,
      inputs,
      from: undefined,
      view: {
        metrics: onMetrics,
        warn: (message: string) => void told.push(`warn ${message.split("\n")[0]}`),
      } as unknown as RunView,
      lock: { ...noLock, check: checkLock },
      team: { isFirst } as Team,
      ...control,
    },
    pool,
    numbers,
    optimizer: { beta1: 0.9, beta2: 0.95, eps: 1e-8, ranges: updateRanges(layout.table, "none", 0) },
    writer: { ...noWriter, save, drain: settle },
    accepted: [],
    floor,
    moments: { m: numbers.m, v: numbers.v, t: [0] },
    standing,
    isNew: standing.step === 0,
    records: { ...noRecords, receipt: { ...noRecords.receipt, addLater: (make) => receipt.add(make()), ...receipt } },
    rollbacks: 0,
    arithmetic: plainArithmetic,
    gradient: new Float32Array(layout.length),
  };
  return { job, standing, told, ending: trainLoop(job) };
}
