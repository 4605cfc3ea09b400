/** One thread that renders chats, with limits on time and memory. It starts with its first job and ends when it is not used. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { type DataRecord, messagesOf } from "./record.ts";
import type { RenderJob, RenderReply, RenderThreadData } from "./render_worker.ts";

export interface RenderThread {
  /** Runs a job; it has one at a time. */
  run(job: RenderJob): Promise<RenderReply>;
}

/** Far more than a batch of chats takes; a template that never ends takes no longer. */
const MAX_MILLISECONDS = 10_000;
/** More for each pair of messages: one chat may have a thousand. */
const MILLISECONDS_A_PAIR = 0.05;
const MAX_HEAP_MEGABYTES = 256;
const IDLE_MILLISECONDS = 2000;

export function createRenderThread(data: RenderThreadData): RenderThread {
  let thread: Worker | undefined;
  let idle: NodeJS.Timeout | undefined;
  return {
    async run(job) {
      clearTimeout(idle);
      thread ??= startThread(data);
      const reply = await replyOf(thread, job);
      if ("problem" in reply && reply.record === undefined) {
        discard(thread);
        thread = undefined;
      } else {
        idle = setTimeout(() => {
          void thread?.terminate();
          thread = undefined;
        }, IDLE_MILLISECONDS).unref();
      }
      return reply;
    },
  };
}

/** Ends a thread whose end nobody waits for: one that ran out of memory may never say that it ended. */
function discard(thread: Worker): void {
  thread.on("error", () => {});
  void thread.terminate();
}

/** Messages squared: a chat is written up to each of its turns. */
export const pairsOf = (record: DataRecord): number => messagesOf(record).length ** 2;

function startThread(workerData: RenderThreadData): Worker {
  const thread = new Worker(workerFile(), {
    workerData,
    execArgv: [], // the worker is built code: it must not look for sources
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MEGABYTES },
  });
  thread.unref();
  return thread;
}

/** The thread's reply; a problem without a record if it took too long or too much. */
function replyOf(thread: Worker, job: RenderJob): Promise<RenderReply> {
  return new Promise((resolve) => {
    const end = (reply: RenderReply) => {
      clearTimeout(timer);
      thread.off("message", end);
      thread.off("error", onError);
      thread.off("exit", onExit);
      thread.unref();
      resolve(reply);
    };
    const onError = (error: Error & { readonly code?: string }) => {
      const isMemory = error.code === "ERR_WORKER_OUT_OF_MEMORY";
      end({ problem: isMemory ? `it takes more than ${MAX_HEAP_MEGABYTES} MB of memory` : error.message });
    };
    const onExit = () => end({ problem: "its thread ended" });
    const pairs = job.records.reduce((sum, record) => sum + pairsOf(record), 0);
    const limit = MAX_MILLISECONDS + MILLISECONDS_A_PAIR * pairs;
    const timer = setTimeout(() => {
      end({ problem: `it takes more than ${Math.floor(limit / 1000)} s for ${job.records.length} of the chats` });
    }, limit);
    thread.ref();
    thread.on("message", end);
    thread.on("error", onError);
    thread.on("exit", onExit);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    thread.postMessage(job);
  });
}

/** Node 20 starts no TypeScript in a worker thread: from source, too, the built file is the worker. */
function workerFile(): string {
  const isSource = import.meta.url.endsWith(".ts");
  const path = fileURLToPath(
    new URL(isSource ? "../../dist/chat/render_worker.js" : "./render_worker.js", import.meta.url),
  );
  if (!existsSync(path)) throw new Error(`Cannot render chats: ${path} is missing, run "pnpm build" first`);
  return path;
}
