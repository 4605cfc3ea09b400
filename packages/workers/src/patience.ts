/**
 * How long a busy device may show no sign of life before it counts as hung, and a clock for it that an overloaded machine
 * or a suspended process does not deceive.
 */
import { readFileSync } from "node:fs";

/** Shared by all devices of a pool: what one has learnt about the time of a cell holds for the others. */
export interface Patience {
  /** Milliseconds of silence for a device that has finished n calls: the first one is `load`, the next a cell. */
  limit(finishedCalls: number): number;
  /** A cell (or prompt) took so long. */
  learn(callMs: number): void;
  /** A device was given up: should the limit have been wrong, it will not be wrong for long. */
  grow(): void;
}

/** An engine may compile kernels in its first calls. */
const FIRST_CALLS = 2;
const FIRST_CALLS_FACTOR = 5;
/** Node itself takes seconds to start if the disk is busy. */
const START_MS = 15_000;
/** The largest operation of a cell takes up to a third of it; a machine may become twenty times slower. */
const CELLS = 8;

/** @param floorMs of the limit, however short cells are. 0: no device ever counts as hung. */
export function createPatience(floorMs: number): Patience {
  if (floorMs === 0) return { limit: () => Number.POSITIVE_INFINITY, learn() {}, grow() {} };
  let longest = 0;
  let factor = 1;
  return {
    limit(finishedCalls) {
      const limit = factor * (floorMs * (finishedCalls < FIRST_CALLS ? FIRST_CALLS_FACTOR : 1) + CELLS * longest);
      return finishedCalls === 0 ? Math.max(limit, START_MS) : limit;
    },
    learn(callMs) {
      longest = Math.max(longest, callMs);
    },
    grow() {
      factor *= 2;
    },
  };
}

/** What is watched for signs of life. */
export interface Watched {
  /** Changes with every sign of life. */
  beats(): number;
  /** Milliseconds that the device's thread has waited for a processor so far. */
  waitedMs(): number;
  /** Milliseconds of silence that are too long. */
  limit(): number;
  /** Called once, with the milliseconds of silence; the watch ends with it. */
  onSilence(silentMs: number): void;
}

const TICK_MS = 100;

/**
 * Counts silence while `beats` stays the same. What does not count: time in which this thread did not run either (the
 * process or the machine was suspended), beyond two ticks each time; time that the device waited for a processor.
 *
 * @returns what ends the watch.
 */
export function watch({ beats, waitedMs, limit, onSilence }: Watched): () => void {
  let seen = beats();
  let before = performance.now();
  let waitedBefore = waitedMs();
  let silentMs = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    const waited = waitedMs();
    // The system writes a wait down when it is over, so it may be longer than this tick.
    silentMs = Math.max(0, silentMs + Math.min(now - before, 2 * TICK_MS) - (waited - waitedBefore));
    before = now;
    waitedBefore = waited;
    const beat = beats();
    if (beat !== seen) {
      seen = beat;
      silentMs = 0;
    } else if (silentMs > limit()) {
      clearInterval(timer);
      onSilence(silentMs);
    }
  }, TICK_MS);
  return () => clearInterval(timer);
}

/**
 * Milliseconds that a thread was ready to run but had no processor, as Linux counts them (proc(5), schedstat); 0 elsewhere.
 * @param thread its number, as the operating system counts; 0 if that is not known.
 */
export function processorWait(processId: number, thread: number): number {
  if (thread === 0) return 0;
  try {
    const [, waitedNs] = readFileSync(`/proc/${processId}/task/${thread}/schedstat`, "latin1").split(" ");
    return Number(waitedNs) / 1e6;
  } catch {
    return 0;
  }
}
