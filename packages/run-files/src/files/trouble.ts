/** Says that something cannot be written: at once, then with growing pauses, and when it is over. */

/** Between the first two messages; the next pauses double, up to an hour. */
const FIRST_PAUSE_MS = 60_000;
const LONGEST_PAUSE_MS = 3_600_000;

export interface Trouble {
  /** Something failed (again). */
  failed(problem: string): void;
  /** It worked (again), but for `lost` pieces that could not be kept so long. */
  worked(lost?: number): void;
}

/**
 * Returns what reports a disk that refuses, more and more rarely, and once that it works again.
 * @param clock milliseconds that never jump.
 */
export function createTrouble(
  what: string,
  say: (message: string) => void,
  clock: () => number = () => performance.now(),
): Trouble {
  let failures = 0;
  let pause = FIRST_PAUSE_MS;
  let sayNext = 0;
  return {
    failed(problem) {
      failures++;
      if (failures > 1 && clock() < sayNext) return;
      if (failures > 1) pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
      sayNext = clock() + pause;
      const tries = failures > 1 ? ` (${failures} attempts so far)` : "";
      say(`${what} cannot be written${tries}: ${problem}. Training goes on, it is tried again`);
    },
    worked(lost = 0) {
      const left = lost > 0 ? `but ${lost} lines of it are lost` : "nothing of it is lost";
      if (failures > 0) say(`${what} is written again, ${left}`);
      failures = 0;
      pause = FIRST_PAUSE_MS;
    },
  };
}
