/** What a device group deals: the tasks of one call, and how a device does one. */
import type { Device } from "./device.ts";

/** What a device does in one call: a cell, or a prompt. */
export interface Task {
  /** What it is a part of, for messages: `step 12`. */
  readonly of: string;
  /** Its number there. */
  readonly number: number;
  /** Its samples, if it has any: for the error of one that kills. */
  readonly samples: readonly number[];
}

/** Makes tasks of the cells with these numbers. */
export function cellTasks(of: string, cells: readonly (readonly number[])[], numbers: readonly number[]): Task[] {
  return numbers.map((number) => ({ of, number, samples: cells[number] ?? [] }));
}

export interface Deal {
  /** For messages: `step 12`. */
  readonly name: string;
  /** In the order in which they are dealt. */
  readonly tasks: readonly Task[];
  /** Does the task at this place of `tasks` on the device of that number. It may be done again; only the last result counts. */
  run(task: number, device: Device, index: number): Promise<void>;
  /** Results lie with the worker: when it dies, the tasks that it has finished are dealt again too, after this call. */
  onLost?(index: number): void;
}

/** Returns the task at this place; throws a RangeError if there is none. */
export function taskAt({ name, tasks }: Deal, at: number): Task {
  const task = tasks[at];
  if (!task) throw new RangeError(`Cannot use task ${at} of ${name}: there are ${tasks.length}`);
  return task;
}
