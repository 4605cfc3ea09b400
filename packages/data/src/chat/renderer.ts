/** Renders chats in threads, which are kept for as long as they are used. */
import { availableParallelism } from "node:os";
import { type ChatTemplate, InputError } from "@zerogate/core";
import { type DataRecord, messagesOf } from "./record.ts";
import { createRenderThread, pairsOf, type RenderThread } from "./render_thread.ts";
import type { RefusedChat, RenderJob, RenderReply, RenderThreadData } from "./render_worker.ts";
import type { RenderedChat } from "./spans.ts";

/** Renders in order. */
export interface ChatRenderer {
  /** Chats as they are trained, or why the template does not write them. @throws InputError if the template cannot be used. */
  render(records: readonly DataRecord[]): Promise<readonly (RenderedChat | RefusedChat)[]>;
  /** A chat that ends with a question, with the beginning of an answer. @throws InputError naming it if it cannot be written. */
  ask(record: DataRecord): Promise<RenderedChat>;
}

/** Chats for a thread at a time, at most, and pairs of their messages: a chat is written up to each of its turns. */
const BATCH_RECORDS = 64;
const BATCH_PAIRS = 10_000;
/** Tokenising needs the other cores. */
const MAX_THREADS = 4;

/** A template with the special tokens of the tokenizer that reads what it writes. */
export function createRenderer(
  template: Pick<ChatTemplate, "name" | "chat" | "tokens" | "turns">,
  specialTokens: readonly string[],
): ChatRenderer {
  const { name, chat, tokens, turns } = template;
  const data: RenderThreadData = { template: { chat, tokens }, turns, specialTokens };
  const run = createQueue(data);
  const fail = (problem: string, record: DataRecord | undefined) =>
    new InputError(
      `Cannot render chats with the template "${name}"`,
      record ? `${nameOf(record)}: ${problem}` : problem,
    );
  const checked = (reply: RenderReply, batch: readonly DataRecord[]) => {
    if ("problem" in reply) throw fail(reply.problem, reply.record === undefined ? undefined : batch[reply.record]);
    return reply.rendered;
  };
  return {
    async render(records) {
      const batches = batchesOf(records);
      const replies = await Promise.all(batches.map((batch) => run({ records: batch, ask: false })));
      return replies.flatMap((reply, i) => checked(reply, batches[i] ?? []));
    },
    async ask(record) {
      const [rendered] = checked(await run({ records: [record], ask: true }), [record]);
      if (rendered === undefined) throw new Error("Cannot render a question: the thread answered nothing");
      if ("refused" in rendered) throw fail(rendered.refused, record);
      return rendered;
    },
  };
}

interface WaitingJob {
  readonly job: RenderJob;
  readonly done: (reply: RenderReply) => void;
  readonly failed: (error: unknown) => void;
}

/** Gives jobs to threads in their order. What makes the template unusable answers the jobs that wait, too. */
function createQueue(data: RenderThreadData): (job: RenderJob) => Promise<RenderReply> {
  const free = Array.from({ length: Math.min(availableParallelism(), MAX_THREADS) }, () => createRenderThread(data));
  const waiting: WaitingJob[] = [];
  const work = async (thread: RenderThread): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      try {
        const reply = await thread.run(next.job);
        const isUnusable = "problem" in reply && reply.record === undefined;
        for (const { done } of [next, ...(isUnusable ? waiting.splice(0) : [])]) done(reply);
      } catch (error) {
        next.failed(error);
      }
    }
    free.push(thread);
  };
  return (job) =>
    new Promise((done, failed) => {
      waiting.push({ job, done, failed });
      const thread = free.pop();
      if (thread) void work(thread);
    });
}

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

/** Names a record by how it begins. */
const nameOf = (record: DataRecord): string =>
  `the one that begins ${JSON.stringify((messagesOf(record)[0]?.content ?? "").slice(0, 60))}`;
