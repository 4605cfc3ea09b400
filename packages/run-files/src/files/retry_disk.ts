/** Tries a disk that refuses again, later each time. */

import { setTimeout as sleep } from "node:timers/promises";
import { isZerogateError } from "@zerogate/core";
import { reason } from "@zerogate/core/node";
import { type Trouble } from "./trouble.ts";

export const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;

/** The pause after one of `ms` milliseconds: twice as long, up to half a minute. */
export const nextRetryMs = (ms: number): number => Math.min(2 * ms, LONGEST_RETRY_MS);

/** Waiting does not help against these: something of another kind stands in the way, or the run belongs to another process. */
export function isHopeless(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // Errors lose their fields on the way between threads: `ENOSPC` of "ENOSPC: no space left on device".
  const code = /\bE[A-Z0-9]{2,}\b/.exec(error.message)?.[0] ?? "";
  return isZerogateError(error, "input") || ["ENOTDIR", "EISDIR", "EEXIST", "ENAMETOOLONG"].includes(code);
}

/** Does the work until it succeeds; throws its last error if that takes longer, or if waiting cannot help. */
export async function patiently<T>(work: () => Promise<T>, patienceMs: number, trouble: Trouble): Promise<T> {
  const begin = performance.now();
  for (let pause = FIRST_RETRY_MS; ; pause = nextRetryMs(pause)) {
    try {
      const result = await work();
      trouble.worked();
      return result;
    } catch (error) {
      const left = begin + patienceMs - performance.now();
      if (isHopeless(error) || left <= 0) throw error;
      trouble.failed(reason(error));
      await sleep(Math.min(pause, left));
    }
  }
}
