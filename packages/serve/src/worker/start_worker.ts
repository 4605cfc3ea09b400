/** Starts the thread of a worker, and ends it whatever it is doing. */
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { decodeError } from "@zerogate/core/training";
import { createPulse, type PulseReading, processorWait, readPulse } from "@zerogate/workers";
import type { FromWorker, ToWorker, WorkerSetup } from "./messages.ts";

/** A thread that computes. */
export interface WorkerThread {
  send(message: ToWorker): void;
  pulse(): PulseReading;
  /** Milliseconds that it has waited for a processor so far. */
  waitedMs(): number;
  /** Ends it, in the middle of what it does too. */
  stop(): Promise<void>;
}

/** What a thread says, and why it ended by itself: at most once, and not after `stop`. */
export interface WorkerListener {
  onMessage(message: FromWorker): void;
  onEnd(reason: Error): void;
}

/** Ending a thread takes milliseconds, unless it is stuck in native code. */
const STUCK_MS = 2000;
/** See packages/workers: passes leave short-lived arrays behind. */
const YOUNG_MB = 6;

/** Begins to start a thread; it says `worker-ready` once it can answer. */
export function startWorker(setup: Omit<WorkerSetup, "pulse" | "cancel">, listener: WorkerListener): WorkerThread {
  const pulse = createPulse();
  const cancel = new Int32Array(new SharedArrayBuffer(4));
  const thread = new Worker(workerFile(), {
    workerData: { ...setup, pulse, cancel } satisfies WorkerSetup,
    execArgv: [], // the worker is built code: it must not look for sources
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
  });
  let isOver = false;
  let isLoaded = false;
  const ended = new Promise<void>((resolve) => thread.once("exit", () => resolve()));
  let onLoaded = () => {};
  const loaded = new Promise<void>((resolve) => (onLoaded = resolve));
  const end = (reason: Error) => {
    isLoaded = true;
    onLoaded();
    if (isOver) return;
    isOver = true;
    listener.onEnd(reason);
  };
  thread.on("message", (message: FromWorker) => {
    if (message.type === "worker-ready" || message.type === "worker-failed") {
      isLoaded = true;
      onLoaded();
    }
    if (isOver) return;
    if (message.type === "worker-failed") end(decodeError(message.error));
    else listener.onMessage(message);
  });
  thread.on("error", end);
  thread.on("exit", (code) => end(new Error(`its thread ended with code ${code}`)));

  return {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    send: (message) => thread.postMessage(message),
    pulse: () => readPulse(pulse),
    waitedMs: () => processorWait(process.pid, readPulse(pulse).thread),
    async stop() {
      isOver = true;
      Atomics.store(cancel, 0, 1); // a thread is terminated when it is back from native code, which may take seconds
      if (!isLoaded) await Promise.race([loaded, ended]); // Node 20 aborts if a thread ends while it loads modules
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      thread.postMessage({ type: "worker-close" } satisfies ToWorker);
      await Promise.race([ended, sleep(STUCK_MS, undefined, { ref: false })]);
      await Promise.race([thread.terminate(), sleep(STUCK_MS, undefined, { ref: false })]);
      thread.unref();
    },
  };
}

/** Node 20 starts no TypeScript in a worker thread: from source, too, the built file is the worker. */
function workerFile(): string {
  const isSource = import.meta.url.endsWith(".ts");
  const path = fileURLToPath(
    new URL(isSource ? "../../dist/worker/scheduler_worker.js" : "./scheduler_worker.js", import.meta.url),
  );
  if (!existsSync(path)) throw new Error(`Cannot start a worker: ${path} is missing, run "pnpm build" first`);
  return path;
}
