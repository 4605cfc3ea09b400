/** An earlier checkpoint of a run made its newest, by its only writer. */

import { type Rewound, rewindRun } from "../run/rewind.ts";
import { readRunConfig } from "../run/run_folder.ts";
import { withLock } from "./with_lock.ts";

/**
 * Makes the checkpoint of `step` the newest of the run in `directory`; what came later is kept aside.
 *
 * @param onNote Receives what becomes of another writer's lock.
 * @returns where the later state lies now.
 * @throws InputError (code `input`) if there is no such whole checkpoint, or another process writes to the run.
 * @example
 * await rewind("runs/first", 40);
 */
export async function rewind(
  directory: string,
  step: number,
  onNote: (note: string) => void = () => {},
): Promise<Rewound> {
  const { out } = await readRunConfig(directory, {});
  return await withLock(out, onNote, () => rewindRun(out, step));
}
