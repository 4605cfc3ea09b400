/**
 * All device workers of one host. Cells are dealt to whoever is free, and a lost worker's cells are dealt again; neither
 * changes a bit of a sum. Traffic per step and worker: 4 bytes a parameter down (a copy of shared memory), 8 up (int64).
 */
import type { ImageInput } from "@zerogate/core";
import { tailOf } from "@zerogate/core/training";
import { createCellAdder } from "./add_cells.ts";
import { cellTasks } from "./deal.ts";
import type {
  DeviceJob,
  DeviceSetup,
  EvaluationRequest,
  Generated,
  GenerationRequest,
  LossSum,
  ScoreRequest,
} from "./device_api.ts";
import type { DeviceEvent } from "./device_event.ts";
import { DeviceGroup } from "./device_group.ts";
import { createPatience } from "./patience.ts";
import { endLeftProcesses, startProcess } from "./process_container.ts";
import {
  checkStepSum,
  labelledTokensOf,
  onlySum,
  type ShareSum,
  type Step,
  type StepShare,
  type StepSum,
} from "./step_sum.ts";
import { startThread } from "./thread_container.ts";

/** The workers of a run, one for each device. */
export interface DevicePool {
  readonly engineName: string;
  /**
   * Computes and sums one step. Throws a StepRefusedError if a number cannot be used; what a cell threw on two workers
   * (an InputError stays one); a DeadlyCellError if a cell ended two workers; an Error if no worker is left.
   */
  runStep(step: Step): Promise<StepSum>;
  /**
   * Computes and sums steps of different jobs, whose cells are dealt together; each sum has the bits of `runStep`. A step
   * whose numbers cannot be used is rejected alone; everything else that `runStep` throws ends the call.
   */
  runSteps(steps: readonly Step[]): Promise<PromiseSettledResult<StepSum>[]>;
  /** Computes and sums shares of steps of different jobs. Throws as `runStep` does, but not for bad numbers. */
  addCells(shares: readonly StepShare[]): Promise<ShareSum[]>;
  /** Loss over cells of the token set `set`, added up in their order in float64: the same for any number of workers. */
  evaluate(evaluation: Evaluation): Promise<LossSum>;
  /** The cells of these numbers, each for itself. */
  evaluateCells(evaluation: Evaluation, numbers: readonly number[]): Promise<LossSum[]>;
  /** Of each cell, for each of its adapters, the loss of each labelled token, in nats. */
  scoreCells(requests: readonly ScoreRequest[]): Promise<(readonly Float32Array[])[]>;
  /** One continuation per prompt, in their order; each depends on its prompt and the options only. */
  generateAll(generation: Generation): Promise<Generated[]>;
  /** Ends all threads and processes. Nothing keeps this process alive after it. */
  close(): Promise<void>;
}

/** Cells to score. */
export interface Evaluation extends Omit<EvaluationRequest, "samples"> {
  readonly cells: readonly (readonly number[])[];
}

/** Prompts to continue. */
export interface Generation extends Omit<GenerationRequest, "promptIds"> {
  /** Token ids of each prompt. */
  readonly prompts: readonly (readonly number[])[];
  /** Features of the image of each prompt; undefined if it has none. Default: none has. */
  readonly images?: readonly (ImageInput | undefined)[] | undefined;
}

/** How workers that are processes start. */
export interface Isolation {
  /** Added to the environment of a device's process, for example CUDA_VISIBLE_DEVICES. */
  env?(device: number): Readonly<Record<string, string>>;
}

/** How many workers start, with what, and what happens when one dies. */
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
  /** Most cells that a step of any job has. */
  readonly maxCells: number;
  /** Receives what happens to workers. */
  readonly onEvent?: (event: DeviceEvent) => void;
}

/**
 * Starts and loads all workers. One that dies meanwhile is started again, beside the work of the others. Throws what a worker
 * throws while it loads (an InputError stays one), and an Error if all of them died; none is left running then.
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
  checkJobs(setup.jobs);
  if (isolate && "bytes" in setup.weights) {
    throw new RangeError("Cannot open devices: processes share no memory, weights must be named by their folder");
  }
  if ("bytes" in setup.weights && !(setup.weights.bytes instanceof SharedArrayBuffer)) {
    const advice = "load them with the option allocate: sharedMemory";
    throw new RangeError(`Cannot open devices: the weights lie in memory of one thread, ${advice}`);
  }
  endLeftProcesses();
  const startContainer = isolate
    ? (device: number) => startProcess(setup, maxCells, isolate.env?.(device) ?? {})
    : startThread;
  const group = new DeviceGroup(workers, setup, startContainer, createPatience(patienceMs), onEvent);
  const engineName = await group.start();

  const { jobs, tokens } = setup;
  const addCells = createCellAdder({ group, workers, jobs, maxCells });
  const runSteps = async (steps: readonly Step[]): Promise<PromiseSettledResult<StepSum>[]> => {
    const labelled = steps.map((step) => labelledTokensOf(step, tokens.train));
    const sums = await addCells(steps.map((step) => ({ step, numbers: [...step.cells.keys()] })));
    const checked = sums.map(async ({ badCells, ...sum }, n): Promise<StepSum> => {
      const added = performance.now();
      checkStepSum(steps[n] as Step, tailOf(sum.slots), badCells, labelled[n] ?? 0);
      return { ...sum, reduceMs: sum.reduceMs + performance.now() - added };
    });
    return Promise.allSettled(checked);
  };
  const evaluateCells = async ({ set, cells, adapter }: Evaluation, numbers: readonly number[]): Promise<LossSum[]> => {
    const name = `evaluation on ${set}`;
    const results: LossSum[] = [];
    await group.deal({
      name,
      tasks: cellTasks(name, cells, numbers),
      async run(at, device) {
        const cell = numbers[at] ?? 0;
        const request = { set, samples: cells[cell] ?? [], adapter };
        results[at] = await device.call(`${name} cell ${cell}`, (api) => api.evaluateCell(request));
      },
    });
    return results;
  };

  return {
    engineName,
    addCells,
    runSteps,
    runStep: async (step) => onlySum(await runSteps([step])),
    evaluateCells,
    evaluate: async (evaluation) => addLosses(await evaluateCells(evaluation, [...evaluation.cells.keys()])),
    scoreCells: (requests) => scoreAll(group, requests),
    generateAll: (generation) => generateAll(group, generation),
    close: () => group.close(),
  };
}

async function scoreAll(group: DeviceGroup, requests: readonly ScoreRequest[]): Promise<(readonly Float32Array[])[]> {
  const results: (readonly Float32Array[])[] = [];
  await group.deal({
    name: "scores",
    tasks: requests.map((_, number) => ({ of: "scores", number, samples: [] })),
    async run(at, device) {
      const request = requests[at] ?? missingRequest(at);
      results[at] = await device.call(`scores cell ${at}`, (api) => api.scoreCell(request));
    },
  });
  return results;
}

function missingRequest(at: number): never {
  throw new RangeError(`Cannot score cell ${at}: there is none`);
}

async function generateAll(
  group: DeviceGroup,
  { prompts, images, adapter, options }: Generation,
): Promise<Generated[]> {
  const results: Generated[] = [];
  await group.deal({
    name: "generation",
    tasks: prompts.map((_, number) => ({ of: "generation", number, samples: [] })),
    async run(prompt, device) {
      const image = images?.[prompt];
      const request = { promptIds: prompts[prompt] ?? [], adapter, options: { ...options, ...(image && { image }) } };
      results[prompt] = await device.call(`generation prompt ${prompt}`, (api) => api.generate(request));
    },
  });
  return results;
}

function checkJobs(jobs: readonly DeviceJob[]): void {
  const ids = new Set<string>();
  for (const { id, layout, params } of jobs) {
    if (ids.has(id))
      throw new RangeError(`Cannot open devices: two jobs are named ${id}, each needs a name of its own`);
    ids.add(id);
    if (params.buffer instanceof SharedArrayBuffer && params.length === layout.length) continue;
    const needed = `${layout.length} over a SharedArrayBuffer are needed`;
    throw new RangeError(`Cannot open devices: params has ${params.length} numbers, ${needed}`);
  }
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
