/**
 * All device workers of one host. Cells are dealt to whoever is free, and a lost worker's cells are dealt again; neither
 * changes a bit of the sum. Traffic per step and worker: 4 bytes a parameter down (a copy of shared memory), 8 up (int64).
 */
import {
  addSlot,
  type BadCell,
  checkTail,
  clearSlot,
  createSlot,
  type Slot,
  StepRefusedError,
  type TokenSet,
} from "@zerogate/core";
import type { CellResult, DeviceSetup, EvaluationJob, Generated, GenerationJob, LossSum } from "./device_api.ts";
import type { DeviceEvent } from "./device_event.ts";
import { type Deal, DeviceGroup } from "./device_group.ts";
import { createPatience } from "./patience.ts";
import { endLeftProcesses, startProcess } from "./process_host.ts";
import { startThread } from "./thread_host.ts";

export interface StepJob {
  readonly step: number;
  /** Samples of `tokens.train`, one list a cell; cells are dealt in this order, so put the largest first. */
  readonly cells: readonly (readonly number[])[];
  /** 1 / labelled tokens of the whole step. */
  readonly scale: number;
  /** Changes whenever the shared parameters did. */
  readonly version: number;
}

export interface StepSum {
  /** Sum over all cells, tail checked. Valid until the next `runStep`. */
  readonly slot: Slot;
  /** By device: how many cells it did, and for how long it computed. */
  readonly perWorker: readonly { readonly cells: number; readonly computeMs: number }[];
  /** Of several hosts: the tokens that each one computed, by rank. */
  readonly hostTokens?: readonly number[];
  /** Time from the first cell to the last in which a worker did not compute, averaged over workers. */
  readonly waitMs: number;
  /** Adding up the slots and checking the tail. */
  readonly reduceMs: number;
}

/** The sum over some cells of a step, for a `StepSum` of several pools: nothing of it is checked. */
export interface ShareSum extends StepSum {
  readonly badCells: readonly BadCell[];
}

export interface DevicePool {
  readonly engineName: string;
  /**
   * Computes and sums one step. Throws a StepRefusedError where a number cannot be used; what a cell threw on two workers
   * (an InputError stays one); a DeadlyCellError where a cell ended two workers; an Error where no worker is left.
   */
  runStep(job: StepJob): Promise<StepSum>;
  /** Computes and sums the cells of these numbers, in this order. Throws as `runStep` does, but not for bad numbers. */
  addCells(job: StepJob, numbers: readonly number[]): Promise<ShareSum>;
  /** Loss over cells of the token set `set`, added up in their order in float64: the same for any number of workers. */
  evaluate(job: EvaluateJob): Promise<LossSum>;
  /** The cells of these numbers, each for itself. */
  evaluateCells(job: EvaluateJob, numbers: readonly number[]): Promise<LossSum[]>;
  /** One continuation per prompt, in their order; each depends on its prompt and the options only. */
  generateAll(job: GenerateAllJob): Promise<Generated[]>;
  /** Ends all threads and processes. Nothing keeps this process alive after it. */
  close(): Promise<void>;
}

export interface EvaluateJob extends Omit<EvaluationJob, "samples"> {
  readonly cells: readonly (readonly number[])[];
}

export interface GenerateAllJob extends Omit<GenerationJob, "promptIds"> {
  /** Token ids of each prompt. */
  readonly prompts: readonly (readonly number[])[];
}

export interface Isolation {
  /** Added to the environment of a device's process, for example CUDA_VISIBLE_DEVICES. */
  env?(device: number): Readonly<Record<string, string>>;
}

export interface DevicePoolOptions {
  /** Device numbers count from 0. */
  readonly workers: number;
  /** Devices live in processes of their own instead of threads; `setup.weights` names a folder then. */
  readonly isolate?: Isolation | undefined;
  /**
   * Milliseconds without a sign of life after which a busy worker counts as hung, besides eight times the longest cell so
   * far; five times as many while it loads (at least 15 s) and in its first cell. 0: never. Default: a minute.
   */
  readonly patienceMs?: number | undefined;
  readonly setup: DeviceSetup;
  /** Most cells that a step of this run has. */
  readonly maxCells: number;
  readonly onEvent?: (event: DeviceEvent) => void;
}

/**
 * Starts and loads all workers. One that dies meanwhile is started again, beside the work of the others. Throws what a worker
 * throws while it loads (an InputError stays one), and an Error where all of them died; none is left running then.
 */
export async function openDevices({
  workers,
  setup,
  maxCells,
  isolate,
  patienceMs = 60_000,
  onEvent = () => {},
}: DevicePoolOptions): Promise<DevicePool> {
  if (!(Number.isInteger(workers) && workers >= 1)) {
    throw new RangeError(`Cannot open devices: workers is ${workers}, a whole number from 1 is needed`);
  }
  if (!(setup.params.buffer instanceof SharedArrayBuffer) || setup.params.length !== setup.layout.length) {
    const needed = `${setup.layout.length} over a SharedArrayBuffer are needed`;
    throw new RangeError(`Cannot open devices: params has ${setup.params.length} numbers, ${needed}`);
  }
  if (isolate && "bytes" in setup.weights) {
    throw new RangeError("Cannot open devices: processes share no memory, weights must be named by their folder");
  }
  endLeftProcesses();
  const startHost = isolate
    ? (device: number) => startProcess(setup, maxCells, isolate.env?.(device) ?? {})
    : startThread;
  const slotSize = { parameters: setup.layout.length, maxCells };
  const slots = Array.from({ length: workers }, () => createSlot(slotSize));
  const group = new DeviceGroup(workers, setup, startHost, createPatience(patienceMs), onEvent);
  const engineName = await group.start();

  const { train } = setup.tokens;
  const addCells = async (job: StepJob, numbers: readonly number[]): Promise<ShareSum> => {
    const { step, cells, scale, version } = job;
    if (cells.length > maxCells) {
      throw new RangeError(
        `Cannot run step ${step}: it has ${cells.length} cells, the pool was opened for ${maxCells}`,
      );
    }
    for (const slot of slots) clearSlot(slot);
    const results: { result: CellResult; by: number }[] = [];
    const begin = performance.now();
    await group.deal({
      ...cellDeal(`step ${step}`, cells, numbers),
      async run(cell, device, by) {
        const cellJob = { step, cell, samples: cells[cell] ?? [], scale, version, slot: at(slots, by) };
        results[cell] = {
          result: await device.call(`step ${step} cell ${cell}`, (api) => api.computeCell(cellJob)),
          by,
        };
      },
      // A new one, because nobody can say what the dead thread wrote last.
      onLost: (index) => slots.splice(index, 1, createSlot(slotSize)),
    });
    const dealt = performance.now();
    const badCells = results.flatMap(({ result: { bad, cell } }) =>
      bad ? [{ ...bad, cell, samples: cells[cell] ?? [] }] : [],
    );
    const perWorker = slots.map((_, index) => {
      const own = results.filter(({ by }) => by === index);
      return { cells: own.length, computeMs: own.reduce((sum, { result }) => sum + result.computeMs, 0) };
    });
    const total = at(slots, 0);
    for (const [index, worker] of perWorker.entries()) {
      if (index > 0 && worker.cells > 0) addSlot(total, at(slots, index));
    }
    const computeMs = perWorker.reduce((sum, worker) => sum + worker.computeMs, 0);
    const waitMs = Math.max(0, dealt - begin - computeMs / workers);
    return { slot: total, perWorker, waitMs, reduceMs: performance.now() - dealt, badCells };
  };
  const evaluateCells = async (job: EvaluateJob, numbers: readonly number[]): Promise<LossSum[]> => {
    const { set, cells, adapter, version } = job;
    const results: LossSum[] = [];
    await group.deal({
      ...cellDeal(`evaluation on ${set}`, cells, numbers),
      async run(cell, device) {
        const cellJob = { set, samples: cells[cell] ?? [], adapter, version };
        results[cell] = await device.call(`evaluation on ${set} cell ${cell}`, (api) => api.evaluateCell(cellJob));
      },
    });
    return numbers.map((cell) => at(results, cell));
  };

  return {
    engineName,
    addCells,
    async runStep(job) {
      const labelled = labelledTokensOf(job, train);
      const { badCells, ...sum } = await addCells(job, [...job.cells.keys()]);
      const added = performance.now();
      checkStepSum(job, sum.slot, badCells, labelled);
      return { ...sum, reduceMs: sum.reduceMs + performance.now() - added };
    },

    evaluateCells,
    evaluate: async (job) => addLosses(await evaluateCells(job, [...job.cells.keys()])),

    async generateAll({ prompts, adapter, version, options }) {
      const results: Generated[] = [];
      await group.deal({
        name: "generation",
        jobs: [...prompts.keys()],
        samples: () => [],
        async run(prompt, device) {
          const job = { promptIds: prompts[prompt] ?? [], adapter, version, options };
          results[prompt] = await device.call(`generation prompt ${prompt}`, (api) => api.generate(job));
        },
      });
      return results;
    },

    close: () => group.close(),
  };
}

/** @throws StepRefusedError where numbers are bad, Error where a cell of the step is missing or was added twice. */
export function checkStepSum(
  { step, cells }: StepJob,
  slot: Slot,
  badCells: readonly BadCell[],
  labelled: number,
): void {
  if (badCells.length > 0) throw new StepRefusedError(step, badCells);
  const problems = checkTail(slot, cells.length, labelled);
  if (problems.length > 0) {
    throw new Error(`Cannot take step ${step}: its sum does not add up\n${problems.join("\n")}`);
  }
}

/** Counted on this side, so that the check of the sum can tell a worker that packed wrongly. */
export function labelledTokensOf({ cells }: Pick<StepJob, "cells">, tokens: TokenSet): number {
  return cells.flat().reduce((sum, sample) => sum + labelledTokens(tokens, sample), 0);
}

/** Adds up in this order, in float64. */
export function addLosses(losses: readonly LossSum[]): LossSum {
  const total = { lossSum: 0, labelledTokens: 0, exactSamples: 0 };
  for (const loss of losses) {
    total.lossSum += loss.lossSum;
    total.labelledTokens += loss.labelledTokens;
    total.exactSamples += loss.exactSamples;
  }
  return total;
}

function cellDeal(
  name: string,
  cells: readonly (readonly number[])[],
  jobs: readonly number[],
): Pick<Deal, "name" | "jobs" | "samples"> {
  return { name, jobs, samples: (cell) => cells[cell] ?? [] };
}

function labelledTokens({ offsets, target }: TokenSet, sample: number): number {
  const [begin, end] = [offsets[sample], offsets[sample + 1]];
  if (begin === undefined || end === undefined) {
    throw new RangeError(`Cannot use sample ${sample}: the set has ${offsets.length - 1} samples`);
  }
  let labelled = 0;
  for (let t = begin + 1; t < end; t++) if (target[t] === 1) labelled++;
  return labelled;
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new RangeError(`Cannot use device ${index}: there are ${list.length}`);
  return item;
}
