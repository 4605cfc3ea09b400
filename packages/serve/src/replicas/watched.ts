/** Notices a worker that shows no sign of life while it has something to do. */
import { watch } from "@zerogate/workers";
import type { WorkerThread } from "../worker/start_worker.ts";

/** A watch that runs while the worker is busy. */
export interface BusyWatch {
  settle(isBusy: boolean): void;
}

/** @param patienceMs of silence, after which `onSilence` is called once. 0: never. */
export function openBusyWatch(
  thread: Pick<WorkerThread, "pulse" | "waitedMs">,
  patienceMs: number,
  onSilence: (reason: Error) => void,
): BusyWatch {
  let stop: (() => void) | undefined;
  return {
    settle(isBusy) {
      if (!isBusy || patienceMs === 0) {
        stop?.();
        stop = undefined;
        return;
      }
      stop ??= watch({
        beats: () => thread.pulse().beats,
        waitedMs: thread.waitedMs,
        limit: () => patienceMs,
        onSilence: (ms) => onSilence(new Error(`no sign of life for ${(ms / 1000).toFixed(1)} s`)),
      });
    },
  };
}
