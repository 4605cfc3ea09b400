/** Progress of loading a base, for people: gigabytes and their rate, and nothing if it is over at once. */
import type { Phase } from "../run/phase.ts";

/** A smaller base is there before anybody can read a line about it. */
const LEAST_BYTES = 500e6;

/** What `loadWeights` takes as `onProgress`. */
export function loadingPhase(
  onPhase: (phase: Phase) => void,
  now: () => number = () => performance.now(),
): (doneBytes: number, totalBytes: number) => void {
  const begin = now();
  return (done, total) => {
    if (total < LEAST_BYTES) return;
    const rate = done / 1e6 / Math.max(1, now() - begin);
    const counts = `${(done / 1e9).toFixed(1)} of ${(total / 1e9).toFixed(1)} GB, ${rate.toFixed(1)} GB/s`;
    onPhase({ name: "loading the base", done, total, counts });
  };
}
