/** What `train --dry-run` prints: the resolved config, the plan, the memory, the parameters. */
import { parameterCount, trainableLine } from "@zerogate/core";
import { formatBytes } from "@zerogate/core/formats";
import type { TrainConfig } from "@zerogate/run-config";
import { isIsolated } from "@zerogate/run-config";
import { trainedLayout, workerLayout } from "@zerogate/run-files";
import type { DataCounts } from "@zerogate/trainer";
import {
  type BusyDevices,
  busyDevices,
  describeCounts,
  estimateMemory,
  formatCount,
  formatShare,
  formatSmall,
  idleAdvice,
  imageMemory,
  type MemoryEstimate,
  type RunInputs,
} from "@zerogate/trainer/command";

export interface PlanFacts {
  readonly config: TrainConfig;
  readonly trainable: string;
  readonly samples: number;
  readonly heldOut: number;
  readonly meanLength: number;
  readonly longest: number;
  readonly truncated: number;
  /** What became of the records, of `data` and of `validationData` if it is set. */
  readonly data: readonly DataCounts[];
  /** Of a mixture, how many samples of each part an epoch holds, and how many there are. */
  readonly mixture?: readonly { readonly path: string; readonly perEpoch: number; readonly samples: number }[];
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
  /** Of the first step. */
  readonly cells: number;
  /** Share of the time that 1, 2, 4, 8 and 16 equal devices would work. */
  readonly busy: readonly BusyDevices[];
  /** What would keep this run's workers busy; absent if they are. */
  readonly advice?: string | undefined;
  readonly peakLearningRate: number;
  readonly warmupSteps: number;
  readonly memory: MemoryEstimate;
}

export function planFacts(config: TrainConfig, inputs: RunInputs): PlanFacts {
  const { engine, model, weightBytes, layout, train, counts, heldOut, plan, totalSteps, schedule } = inputs;
  const { stats } = train;
  const largestCell = Math.max(config.cellTokens, stats.longest);
  return {
    config,
    trainable: trainableLine({
      trainable: trainedLayout(config, layout).length,
      all: parameterCount(model) + layout.length,
    }),
    samples: plan.sampleCount,
    heldOut: heldOut?.samples.length ?? 0,
    meanLength: stats.meanLength,
    longest: stats.longest,
    truncated: stats.truncated,
    data: counts,
    ...(plan.parts && {
      mixture: plan.parts.map(({ name, samples, perEpoch }) => ({ path: name, perEpoch, samples: samples.length })),
    }),
    stepsPerEpoch: plan.stepsPerEpoch,
    totalSteps,
    cells: plan.step(0).cells.length,
    busy: busyDevices(inputs),
    advice: idleAdvice(config, inputs, config.workers),
    peakLearningRate: schedule.peak,
    warmupSteps: schedule.warmupSteps,
    memory: estimateMemory(model, workerLayout(config, layout), {
      cellTokens: largestCell,
      workers: config.workers,
      weights: weightBytes,
      engine,
      isIsolated: isIsolated(config, engine),
      images: imageMemory(config, layout, inputs),
    }),
  };
}

/** `data/a.json: 700 of 900 samples, 70.0 %`; of repeated ones how often. */
function describePart({ path, perEpoch, samples }: NonNullable<PlanFacts["mixture"]>[number], all: number): string {
  const times = perEpoch > samples ? `, each ${(perEpoch / samples).toFixed(1)} times` : "";
  const share = formatShare(perEpoch / all);
  return `${path}: ${formatCount(perEpoch)} samples (${share}) of the ${formatCount(samples)} that it has${times}`;
}

export function describePlan(facts: PlanFacts): string {
  const { config, memory } = facts;
  const rows: [string, string][] = [
    ["parameters", facts.trainable],
    ...facts.data.map((counts): [string, string] => ["records", describeCounts(counts)]),
    ["samples", `${formatCount(facts.samples)} to train on, ${formatCount(facts.heldOut)} held out`],
    ...(facts.mixture ?? []).map((part): [string, string] => ["of an epoch", describePart(part, facts.samples)]),
    ["length", `${facts.meanLength.toFixed(1)} tokens on average, ${facts.longest} at most, ${facts.truncated} cut`],
    [
      "steps",
      `${formatCount(facts.totalSteps)} (${formatCount(facts.stepsPerEpoch)} an epoch), warm-up ${facts.warmupSteps}`,
    ],
    ["batch", `${config.batchSize} sequences, ${facts.cells} cells in the first step, ${config.workers} workers`],
    ["devices busy", facts.busy.map(({ devices, share }) => `${devices}: ${formatShare(share)}`).join(", ")],
    ["learning rate", `${formatSmall(facts.peakLearningRate)} at its peak, ${config.schedule}`],
    [
      "memory",
      [
        `${formatBytes(memory.total)} estimated: base ${formatBytes(memory.weights)}`,
        ...(memory.images > 0 ? [`images ${formatBytes(memory.images)}`] : []),
        `each worker ${formatBytes(memory.perWorker)}`,
      ].join(", "),
    ],
  ];
  const settings = Object.entries(config).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`);
  const table = rows.map(([name, value]) => `${name.padEnd(15)}${value}`);
  const advice = facts.advice === undefined ? [] : [facts.advice];
  return [...table, ...advice, "", "config", ...settings, "", "Nothing was trained or written (--dry-run).", ""].join(
    "\n",
  );
}
