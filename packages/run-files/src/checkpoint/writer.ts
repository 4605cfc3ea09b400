/**
 * Saves checkpoints in the background. Training waits for a copy of 15 MB at most, and for that only when the next step is
 * about to be committed. A refused write is repeated until it works; training is not affected.
 */

import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { reason } from "@zerogate/core/node";
import { Piscina } from "piscina";
import { FIRST_RETRY_MS, isHopeless, nextRetryMs } from "../files/retry_disk.ts";
import { type Trouble } from "../files/trouble.ts";
import type { SharedNumbers, WriteJob } from "./write_worker.ts";

/** What a checkpoint leaves behind is freed soon: see thread_container.ts in workers. */
const YOUNG_MB = 6;

/** Writes checkpoints beside the training, one after another. */
export interface CheckpointWriter {
  /** The thread is up: from here on a checkpoint takes as long as the disk. */
  readonly ready: Promise<unknown>;
  /** Orders a checkpoint of the present numbers. Waits while another order waits, unless the disk refuses. */
  save(job: WriteJob): Promise<void>;
  /** Resolves as soon as the numbers may change again. */
  copied(): Promise<void>;
  /**
   * Waits until all is written. Throws what the disk says, if it still refuses after `patienceMs` or waiting cannot help.
   */
  drain(patienceMs: number): Promise<void>;
  /** Writes the newest that waits into another run directory; returns its folder. */
  rescue(runDir: string): Promise<string | undefined>;
  /** Forgets what waits, for a run that goes back. */
  forget(): Promise<void>;
  /** Ends the thread; what waits is lost. */
  close(): Promise<void>;
}

export interface WriterOptions {
  /** Over SharedArrayBuffers. */
  readonly numbers: SharedNumbers;
  readonly trouble: Trouble;
  /** Before each write; what it throws is trouble with the disk. */
  readonly beforeWrite: () => Promise<void>;
  readonly onSaved: (folder: string, step: number) => void;
}

interface Order {
  readonly job: WriteJob;
  readonly copied: Promise<void>;
}

interface Failure {
  readonly error: unknown;
  /** When the disk is asked again, in the time of `performance.now()`. */
  readonly again: number;
}

/** Of what waits in vain the newest and the best stay. */
function isNeeded(order: Order, waiting: readonly Order[]): boolean {
  const newest = waiting.at(-1);
  return order === newest || order.job.state.step === newest?.job.state.best?.step;
}

async function dropCopies(pool: Piscina, orders: readonly Order[]): Promise<void> {
  for (const { job } of orders) await pool.run(job.state.step, { name: "drop" });
}

/** One thread with two tasks, so that a copy need not wait for a write; without this process's flags, see device.ts in workers. */
function openPool(): Piscina {
  const pool = new Piscina({
    filename: builtFile(),
    minThreads: 1,
    maxThreads: 1,
    concurrentTasksPerWorker: 2,
    idleTimeout: Number.POSITIVE_INFINITY,
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
  });
  pool.on("error", () => {}); // a thread that dies fails its tasks
  return pool;
}

/** Opens a writer with a thread of its own. Close it at the end of the run. */
export function openCheckpointWriter({ numbers, trouble, beforeWrite, onSaved }: WriterOptions): CheckpointWriter {
  const pool = openPool();
  const ready = pool.run(-1, { name: "drop" }); // Node 20 aborts when a thread is ended while it loads
  let waiting: Order[] = [];
  let copied: Promise<void> = Promise.resolve();
  let writing: Promise<void> | undefined;
  let failure: Failure | undefined;
  let timer: NodeJS.Timeout | undefined;
  let retryMs = FIRST_RETRY_MS;

  const writeAll = async () => {
    for (let next = waiting[0]; next; next = waiting[0]) {
      const { job } = next;
      try {
        await next.copied;
        await beforeWrite();
        const folder = (await pool.run(job, { name: "write" })) as string;
        waiting = waiting.filter((order) => order !== next);
        failure = undefined;
        retryMs = FIRST_RETRY_MS;
        trouble.worked();
        onSaved(folder, job.state.step);
      } catch (error) {
        if (error instanceof RangeError) waiting = waiting.filter((order) => order !== next); // its copy is lost
        trouble.failed(reason(error));
        failure = { error, again: performance.now() + retryMs };
        timer = setTimeout(() => void pump(), retryMs);
        retryMs = nextRetryMs(retryMs);
        return;
      }
    }
  };
  /** Writes until nothing waits or the disk refuses; returns its refusal. */
  const pump = async () => {
    clearTimeout(timer);
    writing ??= writeAll().finally(() => {
      writing = undefined;
    });
    await writing;
    return failure;
  };
  return {
    ready,
    async save(job) {
      if (!failure && waiting.length > 1) await writing; // all that waits, or up to what the disk refuses
      const order = { job, copied: pool.run({ ...numbers, step: job.state.step }, { name: "copy" }) as Promise<void> };
      copied = order.copied.catch(() => {}); // reported when it is written
      waiting.push(order);
      if (failure && !writing) {
        const surplus = waiting.filter((each) => !isNeeded(each, waiting));
        waiting = waiting.filter((each) => !surplus.includes(each));
        await dropCopies(pool, surplus);
      }
      void pump();
    },
    copied: () => copied,
    drain: (patienceMs) => drain(patienceMs, () => waiting.length > 0, pump),
    async rescue(runDir) {
      const newest = waiting.at(-1);
      if (!newest) return undefined;
      return (await pool.run({ ...newest.job, runDir, flush: [] }, { name: "write" })) as string;
    },
    async forget() {
      await writing;
      clearTimeout(timer);
      await dropCopies(pool, waiting);
      waiting = [];
      failure = undefined;
    },
    async close() {
      waiting = [];
      await ready.catch(() => {});
      await writing;
      clearTimeout(timer);
      await pool.destroy();
    },
  };
}

/** Attempts until nothing waits; throws the last failure if no time is left, or more of it cannot help. */
async function drain(
  patienceMs: number,
  isWaiting: () => boolean,
  attempt: () => Promise<Failure | undefined>,
): Promise<void> {
  const begin = performance.now();
  while (isWaiting()) {
    const failure = await attempt();
    if (!failure || !isWaiting()) continue;
    const left = begin + patienceMs - performance.now();
    if (isHopeless(failure.error) || left <= 0) throw failure.error;
    await sleep(Math.min(left, Math.max(0, failure.again - performance.now())));
  }
}

/** The thread loads built JavaScript, even if this module itself runs as source (Node 20, vitest). */
function builtFile(): string {
  const path = fileURLToPath(new URL("../../dist/checkpoint/write_worker.js", import.meta.url));
  if (!existsSync(path)) throw new Error(`Cannot save checkpoints: ${path} is missing, run \`pnpm build\``);
  return path;
}
