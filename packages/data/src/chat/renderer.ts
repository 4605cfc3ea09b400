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

/** Chats for the thread at a time. */
const BATCH_RECORDS = 64;
/** Far more than 64 chats take; a template that never ends takes no longer. */
const MAX_MILLISECONDS = 10_000;
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
    for (let begin = 0; begin < records.length; begin += BATCH_RECORDS) {
      const batch = records.slice(begin, begin + BATCH_RECORDS);
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
    const seconds = MAX_MILLISECONDS / 1000;
    const timer = setTimeout(
      () => end({ problem: `it takes more than ${seconds} s for ${job.records.length} of the chats` }),
      MAX_MILLISECONDS,
    );
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
