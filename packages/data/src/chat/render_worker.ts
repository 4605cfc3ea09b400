/** Thread that renders chats: a template is a program of somebody else, and may run or grow without end. */
import { parentPort, workerData } from "node:worker_threads";
import type { ChatTemplate } from "@zerogate/core";
import { type CompiledTemplate, compileTemplate } from "./jinja.ts";
import type { DataRecord } from "./record.ts";
import { type RenderedChat, type RenderRules, renderChat, renderQuestion } from "./spans.ts";

/** What the thread needs at its start. */
export interface RenderThreadData {
  readonly template: Pick<ChatTemplate, "chat" | "tokens">;
  readonly rules: RenderRules;
}

/** Some records; `ask` renders questions. */
export interface RenderJob {
  readonly records: readonly DataRecord[];
  readonly ask: boolean;
}

/** What they became, or why one of them cannot be rendered; without `record` none can. */
export type RenderReply =
  | { readonly rendered: readonly RenderedChat[] }
  | { readonly problem: string; readonly record?: number };

const { template, rules } = workerData as RenderThreadData;
let compiled: CompiledTemplate | undefined;

function render({ records, ask }: RenderJob): RenderReply {
  try {
    compiled ??= compileTemplate(template);
  } catch (error) {
    return { problem: `it is no template that can be read: ${(error as Error).message}` };
  }
  const rendered: RenderedChat[] = [];
  for (const [record, item] of records.entries()) {
    try {
      rendered.push(ask ? renderQuestion(compiled, rules, item) : renderChat(compiled, rules, item));
    } catch (error) {
      return { problem: (error as Error).message, record };
    }
  }
  return { rendered };
}

/** Answers one job after the other. */
function answer(job: RenderJob): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage(render(job));
}

parentPort?.on("message", answer);
