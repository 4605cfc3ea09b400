/** The rest of a run, from its newest whole checkpoint, to the same bits as if it had never stopped. */
import type { ConfigKey } from "@zerogate/run-config";
import type { RunLock } from "@zerogate/run-files";
import { readBase } from "../open/base.ts";
import { endedRun } from "../run/ended.ts";
import { openInputs } from "../run/inputs.ts";
import { checkAcceptedFields, openCheckpoint } from "../run/resume.ts";
import { executeRun } from "../run/run.ts";
import { readRunConfig } from "../run/run_folder.ts";
import type { RunResult } from "../run/run_result.ts";
import { openAlike } from "../team/same_everywhere.ts";
import { ended, type RunListening, type RunOptions, type RunPlace, withListener } from "./listener.ts";
import { withLock } from "./with_lock.ts";

/** Values for keys of the config, or their texts as flags give them. */
export type RunChanges = Readonly<Partial<Record<ConfigKey, unknown>>>;

/** How a run is taken up again. */
export interface ResumeOptions extends RunOptions {
  /** Names of fields that decide bits and may be other than before, with this recorded in the run. @default none */
  readonly accept?: readonly string[];
}

/**
 * Goes on with the run in `directory`, on all hosts, which may be others than before. A run that has ended is left as it is.
 *
 * @param changes Keys of the config that are to be other than when the run began: its workers, its engine, its length.
 * @throws InputError (code `input`) if there is no run, or a change decides bits and is not accepted; DamagedError
 *   (`damaged`) if the receipt does not prove the checkpoint.
 * @example
 * const { ending, steps } = await resume("runs/first", { workers: 2 });
 */
export async function resume(
  directory: string,
  changes: RunChanges = {},
  listening: RunListening = {},
  options: ResumeOptions = {},
): Promise<RunResult> {
  const { accept = [] } = options;
  checkAcceptedFields(accept);
  const config = await readRunConfig(directory, changes);
  const work = async (place: RunPlace) => {
    const { team, listener, view, signal } = place;
    const progress = { onPhase: view.phase, onWarning: view.warn, signal };
    const locked = async (lock: RunLock) => {
      const done = await team.fromFirst("the end of the run", async () => {
        const model = await readBase(config, () => {}); // what is odd about it is reported where it is opened
        return await endedRun(config, model, listener.report !== undefined);
      });
      if (done) return done;
      const inputs = await openAlike(team, config, (own, find) => openInputs(own, progress, "used", find));
      const wish = { config, accept, onWarning: view.warn, onNote: view.note };
      const from = await team.fromFirst("the checkpoint", async () => {
        const point = await openCheckpoint(inputs, wish);
        listener.opened?.(config);
        return point;
      });
      return await executeRun({ ...place, config, inputs, from, lock });
    };
    return await withLock(config.out, view.warn, locked, { team, hostTimeout: config.hostTimeout });
  };
  return await withListener(config, listening, options, { work, ended });
}
