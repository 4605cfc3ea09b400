/** Deals cells of steps to the devices of a group, each of which adds up what it computed: a slot for each job. */
import { createSlot, type Slot } from "@zerogate/core/training";
import { cellTasks, type Task } from "./deal.ts";
import type { CellResult, DeviceJob } from "./device_api.ts";
import type { DeviceGroup } from "./device_group.ts";
import { monotonicMs } from "./monotonic.ts";
import { sharedMemory } from "./shared_memory.ts";
import type { ShareSum, Step, StepShare } from "./step_sum.ts";

export interface CellAdderOptions {
  readonly group: DeviceGroup;
  readonly workers: number;
  readonly jobs: readonly DeviceJob[];
  /** Most cells that a step of any job has. */
  readonly maxCells: number;
}

interface StepTask extends Task {
  readonly step: Step;
}

/** A cell that is in the slot of the device `by`. */
interface Done {
  readonly result: CellResult;
  readonly by: number;
  readonly step: Step;
}

/** Returns `addCells` of a device pool. It keeps a slot for each device and job, and uses it again for every step. */
export function createCellAdder(options: CellAdderOptions): (shares: readonly StepShare[]) => Promise<ShareSum[]> {
  const { group, workers, jobs, maxCells } = options;
  const slotsOfDevice = () =>
    new Map(jobs.map(({ id, layout }) => [id, createSlot({ parameters: layout.length, maxCells }, sharedMemory)]));
  const slots = Array.from({ length: workers }, slotsOfDevice);
  const slotOf = (device: number, job: string) => found(slots[device]?.get(job), `the slot of ${job}`);
  /** `step 12`, and of which job if there are several. */
  const nameOf = ({ step, job }: Step) => (jobs.length > 1 ? `step ${step} of ${job}` : `step ${step}`);

  const sumOf = (step: Step, all: readonly Done[], waitMs: number, endedAt: number): ShareSum => {
    const begin = performance.now();
    const done = all.filter((one) => one.step === step).toSorted((a, b) => a.result.cell - b.result.cell);
    const badCells = done.flatMap(({ result: { bad, cell } }) =>
      bad ? [{ ...bad, cell, samples: step.cells[cell] ?? [] }] : [],
    );
    const perDevice = slots.map((_, device) => {
      const own = done.filter(({ by }) => by === device);
      return { cells: own.length, computeMs: computeTime(own) };
    });
    const filled = [...slots.keys()].filter((device) => done.some(({ by }) => by === device));
    const startedAt = Math.min(...done.map(({ result }) => result.startedAt));
    return {
      slots: filled.map((device) => slotOf(device, step.job)),
      perDevice,
      waitMs,
      reduceMs: performance.now() - begin,
      startedAt,
      endedAt,
      badCells,
    };
  };

  return async (shares) => {
    checkShares(shares, options, nameOf);
    /** Those in which is nothing but cells of this call. */
    const fresh = new Set<Slot>();
    const ofShares = shares.map(({ step, numbers }) =>
      cellTasks(nameOf(step), step.cells, numbers).map((task): StepTask => ({ ...task, step })),
    );
    const tasks = inTurns(ofShares);
    const results: Done[] = [];
    const begin = performance.now();
    await group.deal({
      name: shares.map(({ step }) => nameOf(step)).join(", "),
      tasks,
      async run(at, device, by) {
        const { step: own, of, number, samples } = found(tasks[at], `task ${at}`);
        const { job, version, step, scale } = own;
        const slot = slotOf(by, job);
        const request = { job, version, step, scale, cell: number, samples, slot, clears: !fresh.has(slot) };
        const result = await device.call(`${of} cell ${number}`, (api) => api.computeCell(request));
        fresh.add(slot);
        results[at] = { result, by, step: own };
      },
      // New ones, because nobody can say what the dead thread wrote last.
      onLost: (device) => slots.splice(device, 1, slotsOfDevice()),
    });
    const endedAt = monotonicMs();
    const waitMs = Math.max(0, performance.now() - begin - computeTime(results) / workers);
    return shares.map(({ step }) => sumOf(step, results, waitMs, endedAt));
  };
}

/** Every share needs a slot of its own, so its job must be known and stand in the call once. */
function checkShares(
  shares: readonly StepShare[],
  { jobs, maxCells }: CellAdderOptions,
  nameOf: (step: Step) => string,
): void {
  const seen = new Set<string>();
  for (const { step } of shares) {
    const attempt = `Cannot run ${nameOf(step)}`;
    if (!jobs.some(({ id }) => id === step.job)) {
      const known = jobs.map(({ id }) => id).join(", ") || "none";
      throw new RangeError(`${attempt}: the pool has no job "${step.job}", its jobs are ${known}`);
    }
    if (seen.has(step.job))
      throw new RangeError(`${attempt}: the call has two steps of job "${step.job}", await the first`);
    seen.add(step.job);
    if (step.cells.length > maxCells) {
      throw new RangeError(`${attempt}: it has ${step.cells.length} cells, the pool was opened for ${maxCells}`);
    }
  }
}

const computeTime = (done: readonly Done[]): number => done.reduce((sum, { result }) => sum + result.computeMs, 0);

/** The first of each list, then the second of each, and so on: the largest cells of all jobs come first. */
function inTurns<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  return Array.from({ length: longest }, (_, i) => lists.flatMap((list) => list.slice(i, i + 1))).flat();
}

function found<T>(item: T | undefined, name: string): T {
  if (item === undefined) throw new RangeError(`Cannot use ${name}: there is none`);
  return item;
}
