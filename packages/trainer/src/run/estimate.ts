/** How long a run takes on devices that are not here, from the multiplications that its plan asks for. */
import type { AdapterLayout, ModelConfig } from "@zerogate/core";
import { baseBytes, dtypeOfStorage } from "@zerogate/core/engine";
import { backwardLayers, trainingCost } from "@zerogate/core/training";
import { busyShare, measureSamples, planCosts, sampleCost, stepWork } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import { estimateMemory } from "./memory_estimate.ts";
import type { PlannedData } from "./planned_data.ts";

/** What a device can do, from its maker's data sheet. */
export interface DeviceSpeed {
  /** Dense products of bfloat16, 10¹² operations a second. */
  readonly teraflops: number;
  readonly gigabytes: number;
}

/** Dense bfloat16 with float32 sums, without sparsity; the larger memory if there are two. */
export const deviceSpeeds: Readonly<Record<string, DeviceSpeed>> = {
  A10: { teraflops: 125, gigabytes: 24 },
  A100: { teraflops: 312, gigabytes: 80 },
  B200: { teraflops: 2250, gigabytes: 180 },
  H100: { teraflops: 989, gigabytes: 80 },
  H200: { teraflops: 989, gigabytes: 141 },
  L4: { teraflops: 121, gigabytes: 24 },
  L40S: { teraflops: 362, gigabytes: 48 },
  RTX3090: { teraflops: 71, gigabytes: 24 },
  RTX4090: { teraflops: 165, gigabytes: 24 },
};

export interface EstimateRequest extends DeviceSpeed {
  readonly devices: number;
  /** Share of the data sheet's speed that is reached. */
  readonly utilization: number;
  /** Milliseconds of a step in which no device computes: sums, update, the next parameters. */
  readonly leaderMs: number;
}

/** Seconds of a whole run, without loading the base. They add up to `total`. */
export interface TimeEstimate {
  readonly computing: number;
  /** Devices that have finished wait for the last one. */
  readonly waiting: number;
  readonly leader: number;
  readonly validation: number;
  readonly total: number;
  readonly deviceHours: number;
  /** Share of the time of training that devices compute. */
  readonly busy: number;
  readonly tokensPerSecond: number;
  /** Bytes of one device. */
  readonly memory: number;
}

/** Estimates a run on devices that are not here, from its plan and their speed. */
export function estimateRun(
  config: TrainConfig,
  planned: PlannedData,
  { model, layout }: { readonly model: ModelConfig; readonly layout: AdapterLayout },
  { devices, teraflops, utilization, leaderMs }: EstimateRequest,
): TimeEstimate {
  const { train, plan, totalSteps } = planned;
  const steps = planCosts(plan, planned.sizes, trainingCost(model, backwardLayers(layout)));
  const secondsOf = (multiplications: number) => (2 * multiplications) / (1e12 * teraflops * utilization);
  const perStep = (work: (cells: readonly number[]) => number) =>
    (totalSteps * steps.reduce((sum, cells) => sum + secondsOf(work(cells)), 0)) / steps.length;
  const computing = perStep((cells) => cells.reduce((sum, work) => sum + work, 0) / devices);
  const waiting = perStep((cells) => stepWork(cells, devices)) - computing;
  const leader = (totalSteps * leaderMs) / 1000;
  const validation = secondsOf(validationWork(config, planned, model) / devices);
  const total = computing + waiting + leader + validation;
  const tokens = (train.stats.meanLength * plan.sampleCount * totalSteps) / plan.stepsPerEpoch;
  return {
    computing,
    waiting,
    leader,
    validation,
    total,
    deviceHours: (devices * total) / 3600,
    busy: busyShare(steps, devices) * ((computing + waiting) / (computing + waiting + leader)),
    tokensPerSecond: tokens / total,
    memory: deviceMemory(config, planned, model, layout),
  };
}

/** Multiplications of all validations, and of the comparison of base and adapter at the end: forward passes. */
function validationWork(config: TrainConfig, { heldOut, plan, totalSteps }: PlannedData, model: ModelConfig): number {
  if (!heldOut) return 0;
  const every = config.evalEvery > 0 ? config.evalEvery : plan.stepsPerEpoch;
  const times = Math.ceil(totalSteps / every) + (config.evalAtStart ? 1 : 0) + 2;
  const { lengths, labelled } = measureSamples(heldOut.tokens);
  const forward = { ...trainingCost(model, 0), label: model.vocabSize * model.hiddenSize };
  const once = heldOut.samples.reduce(
    (sum, sample) => sum + sampleCost(forward, lengths[sample] ?? 0, labelled[sample] ?? 0),
    0,
  );
  return times * once;
}

/** The base in 16 bits, its linear maps as the config says, and what a worker keeps beside it. */
function deviceMemory(config: TrainConfig, { train }: PlannedData, model: ModelConfig, layout: AdapterLayout): number {
  const maps = config.storage === "as-is" ? "bf16" : dtypeOfStorage(config.storage);
  const { perWorker } = estimateMemory(model, layout, {
    cellTokens: Math.max(config.cellTokens, train.stats.longest),
    workers: 1,
    weights: baseBytes(model, "bf16", maps),
    engine: { weightCopies: 1, packedBytes: 0, storage: config.storage, traits: {} },
    isIsolated: false,
  });
  return perWorker;
}

/** What most of the time that is not computing goes to, and what would help. */
export function whatLimits(
  { computing, waiting, leader, validation, memory }: TimeEstimate,
  { gigabytes, devices }: Pick<EstimateRequest, "gigabytes" | "devices">,
): string {
  if (memory > 1e9 * gigabytes)
    return "memory: the base and a cell do not fit, try --storage int8 or nf4, or a smaller --cell-tokens";
  const others = [
    [waiting, `uneven cells: devices wait for the slowest, try --cell-multiple ${devices} or a larger --batch-size`],
    [leader, "the leader: a larger --batch-size has fewer steps"],
    [validation, "validation: hold out less (--val-fraction), or validate less often (--eval-every)"],
  ] as const;
  const [most, advice] = others.toSorted(([a], [b]) => b - a)[0] ?? [0, ""];
  return most > 0.1 * computing ? advice : "computing: more devices, or a higher utilization";
}
