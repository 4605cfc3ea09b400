/** Repeating what failed by chance, with growing waits. */
import type { Hub } from "./hub.ts";
import { HubFailure } from "./hub_failure.ts";

const MAX_FAILURES = 5;
const MAX_WAIT_MS = 8000;
/** Nobody waits for longer before a prompt. */
const MAX_ASKED_WAIT_MS = 120_000;

/** Counts failures in a row, and waits after each. */
export interface Patience {
  /** Waits until the request may be repeated. @throws an Error if it is no passing failure, or one too many; others as they are. */
  after(failure: unknown): Promise<void>;
  /** Something was done: begins to count anew. */
  reset(): void;
}

/**
 * A wait is 1, 2, 4, 8 seconds, or what the server asks for.
 * @param attempt begins the message of what is given up.
 */
export function openPatience({ pause }: Pick<Hub, "pause">, attempt: string, signal: AbortSignal): Patience {
  let failures = 0;
  const giveUp = (problem: string, cause: HubFailure) => new Error(`${attempt}: ${problem}`, { cause });
  return {
    async after(failure) {
      signal.throwIfAborted();
      if (!(failure instanceof HubFailure)) throw failure;
      if (!failure.isPassing) throw giveUp(failure.message, failure);
      failures++;
      const { waitMs } = failure;
      if (waitMs !== undefined && waitMs > MAX_ASKED_WAIT_MS) {
        throw giveUp(`${failure.message}: try again in ${Math.ceil(waitMs / 60_000)} minutes`, failure);
      }
      if (failures >= MAX_FAILURES) {
        throw giveUp(`${failure.message}, ${MAX_FAILURES} times in a row: try again later`, failure);
      }
      await pause(waitMs ?? Math.min(MAX_WAIT_MS, 1000 * 2 ** (failures - 1)), signal);
    },
    reset() {
      failures = 0;
    },
  };
}
