/**
 * All device workers of one host. Cells are dealt to whoever is free, and a lost worker's cells are dealt again; neither
 * changes a bit of the sum. Traffic per step and worker: 4 bytes a parameter down (a copy of shared memory), 8 up (int64).
 */
import { addSlot, checkTail, clearSlot, createSlot, type Slot, type TokenSet } from "@zerogate/core";
import type { CellResult, DeviceSetup, EvaluationJob, Generated, GenerationJob, LossSum } from "./device_api.ts";
import { type Deal, type DeviceEvent, DeviceGroup } from "./device_group.ts";
import { createPatience } from "./patience.ts";
import { startProcess } from "./process_host.ts";
import { StepRefusedError } from "./step_refused.ts";
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
  /** Time from the first cell to the last in which a worker did not compute, averaged over workers. */
  readonly waitMs: number;
  /** Adding up the slots and checking the tail. */
  readonly reduceMs: number;
}

export interface DevicePool {
  readonly engineName: string;
  /**
   * Computes and sums one step. Throws a StepRefusedError where a number cannot be used; what a cell threw on two workers
   * (an InputError stays one); a DeadlyCellError where a cell ended two workers; an Error where no worker is left.
   */
  runStep(job: StepJob): Promise<StepSum>;
  /** Loss over cells of the token set `set`, added up in their order in float64: the same for any number of workers. */
  evaluate(job: EvaluateJob): Promise<LossSum>;
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

/** Starts and loads all workers. Throws what stopped one of them (an InputError stays one); none is left running then. */
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
  const startHost = isolate
    ? (device: number) => startProcess(setup, maxCells, isolate.env?.(device) ?? {})
    : startThread;
  const slotSize = { parameters: setup.layout.length, maxCells };
  const slots = Array.from({ length: workers }, () => createSlot(slotSize));
  const group = new DeviceGroup(workers, setup, startHost, createPatience(patienceMs), onEvent);
  const engineName = await group.start();

  return {
    engineName,
    async runStep({ step, cells, scale, version }) {
      if (cells.length > maxCells) {
        throw new RangeError(
          `Cannot run step ${step}: it has ${cells.length} cells, the pool was opened for ${maxCells}`,
        );
      }
      const labelled = cells.flat().reduce((sum, sample) => sum + labelledTokens(setup.tokens.train, sample), 0);
      for (const slot of slots) clearSlot(slot);
      const results: { result: CellResult; by: number }[] = [];
      const begin = performance.now();
      await group.deal({
        ...cellDeal(`step ${step}`, cells),
        async run(cell, device, by) {
          const job = { step, cell, samples: cells[cell] ?? [], scale, version, slot: at(slots, by) };
          results[cell] = {
            result: await device.call(`step ${step} cell ${cell}`, (api) => api.computeCell(job)),
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
      if (badCells.length > 0) throw new StepRefusedError(step, badCells);

      const perWorker = slots.map((_, index) => {
        const own = results.filter(({ by }) => by === index);
        return { cells: own.length, computeMs: own.reduce((sum, { result }) => sum + result.computeMs, 0) };
      });
      const total = at(slots, 0);
      for (const [index, worker] of perWorker.entries()) {
        if (index > 0 && worker.cells > 0) addSlot(total, at(slots, index));
      }
      const problems = checkTail(total, cells.length, labelled);
      if (problems.length > 0) {
        throw new Error(`Cannot take step ${step}: its sum does not add up\n${problems.join("\n")}`);
      }
      const computeMs = perWorker.reduce((sum, worker) => sum + worker.computeMs, 0);
      const waitMs = Math.max(0, dealt - begin - computeMs / workers);
      return { slot: total, perWorker, waitMs, reduceMs: performance.now() - dealt };
    },

    async evaluate({ set, cells, adapter, version }) {
      const results: LossSum[] = [];
      await group.deal({
        ...cellDeal(`evaluation on ${set}`, cells),
        async run(cell, device) {
          const job = { set, samples: cells[cell] ?? [], adapter, version };
          results[cell] = await device.call(`evaluation on ${set} cell ${cell}`, (api) => api.evaluateCell(job));
        },
      });
      const total = { lossSum: 0, labelledTokens: 0, exactSamples: 0 };
      for (const result of results) {
        total.lossSum += result.lossSum;
        total.labelledTokens += result.labelledTokens;
        total.exactSamples += result.exactSamples;
      }
      return total;
    },

    async generateAll({ prompts, adapter, version, options }) {
      const results: Generated[] = [];
      await group.deal({
        name: "generation",
        jobs: prompts.length,
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

function cellDeal(name: string, cells: readonly (readonly number[])[]): Pick<Deal, "name" | "jobs" | "samples"> {
  return { name, jobs: cells.length, samples: (cell) => cells[cell] ?? [] };
}

/** Labelled tokens of one sample, counted on this side, so that the tail check can tell a worker that packed wrongly. */
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
