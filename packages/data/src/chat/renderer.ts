/** Renders chats in a thread with limits on time and memory, which is kept for as long as it is used. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { type ChatTemplate, InputError } from "@zerogate/core";
import { type DataRecord, messagesOf } from "./record.ts";
import type { RenderJob, RenderReply, RenderThreadData } from "./render_worker.ts";
import type { RenderedChat } from "./spans.ts";

/** Renders in order. */
export interface ChatRenderer {
  /** Chats as they are trained. @throws InputError naming the template, and the record that it cannot render. */
  render(records: readonly DataRecord[]): Promise<readonly RenderedChat[]>;
  /** Chats that end with a question, with the beginning of an answer. @throws InputError as `render` does. */
  ask(record: DataRecord): Promise<RenderedChat>;
}

/** Chats for the thread at a time, at most, and pairs of their messages: a chat is written up to each of its turns. */
const BATCH_RECORDS = 64;
const BATCH_PAIRS = 10_000;
/** Far more than such chats take; a template that never ends takes no longer. */
const MAX_MILLISECONDS = 10_000;
/** More for each pair of messages: one chat may have a thousand. */
const MILLISECONDS_A_PAIR = 0.05;
const MAX_HEAP_MEGABYTES = 256;
const IDLE_MILLISECONDS = 2000;

/** A template with the special tokens of the tokenizer that reads what it writes. */
export function createRenderer(
  template: Pick<ChatTemplate, "name" | "chat" | "tokens" | "turns">,
  specialTokens: readonly string[],
): ChatRenderer {
  const { name, chat, tokens, turns } = template;
  const data: RenderThreadData = { template: { chat, tokens }, rules: { turns, specialTokens } };
  let thread: Worker | undefined;
  let idle: NodeJS.Timeout | undefined;
  let last: Promise<unknown> = Promise.resolve();

  const runNow = async (job: RenderJob): Promise<RenderReply> => {
    clearTimeout(idle);
    thread ??= startThread(data);
    const reply = await replyOf(thread, job);
    if ("problem" in reply && reply.record === undefined) {
      await thread.terminate();
      thread = undefined;
    } else {
      idle = setTimeout(() => {
        void thread?.terminate();
        thread = undefined;
      }, IDLE_MILLISECONDS).unref();
    }
    return reply;
  };
  /** One job after the other. */
  const run = (job: RenderJob): Promise<RenderReply> => {
    const reply = last.then(() => runNow(job));
    last = reply.catch(() => {});
    return reply;
  };
  const render = async (records: readonly DataRecord[], ask: boolean): Promise<readonly RenderedChat[]> => {
    const rendered: RenderedChat[] = [];
    for (const batch of batchesOf(records)) {
      const reply = await run({ records: batch, ask });
      if ("problem" in reply) {
        const record = reply.record === undefined ? undefined : batch[reply.record];
        const problem = record ? `${nameOf(record)}: ${reply.problem}` : reply.problem;
        throw new InputError(`Cannot render chats with the template "${name}"`, problem);
      }
      rendered.push(...reply.rendered);
    }
    return rendered;
  };
  return {
    render: (records) => render(records, false),
    ask: async (record) => {
      const [rendered] = await render([record], true);
      if (rendered === undefined) throw new Error("Cannot render a question: the thread answered nothing");
      return rendered;
    },
  };
}

function startThread(workerData: RenderThreadData): Worker {
  const thread = new Worker(workerFile(), {
    workerData,
    execArgv: [], // the worker is built code: it must not look for sources
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MEGABYTES },
  });
  thread.unref();
  return thread;
}

const pairsOf = (record: DataRecord): number => messagesOf(record).length ** 2;

function batchesOf(records: readonly DataRecord[]): DataRecord[][] {
  const batches: DataRecord[][] = [];
  let pairs = Infinity;
  for (const record of records) {
    const batch = batches.at(-1);
    const more = pairsOf(record);
    if (batch && batch.length < BATCH_RECORDS && pairs + more <= BATCH_PAIRS) {
      batch.push(record);
      pairs += more;
    } else {
      batches.push([record]);
      pairs = more;
    }
  }
  return batches;
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

const nameOf = (record: DataRecord): string =>
  `the one that begins ${JSON.stringify((messagesOf(record)[0]?.content ?? "").slice(0, 60))}`;

/** Node 20 starts no TypeScript in a worker thread: from source, too, the built file is the worker. */
function workerFile(): string {
  const isSource = import.meta.url.endsWith(".ts");
  const path = fileURLToPath(
    new URL(isSource ? "../../dist/chat/render_worker.js" : "./render_worker.js", import.meta.url),
  );
  if (!existsSync(path)) throw new Error(`Cannot render chats: ${path} is missing, run "pnpm build" first`);
  return path;
}
