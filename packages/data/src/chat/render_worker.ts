/** Thread that renders chats: a template is a program of somebody else, and may run or grow without end. */
import { parentPort, workerData } from "node:worker_threads";
import type { ChatTemplate, TurnRule } from "@zerogate/core";
import { type CompiledTemplate, compileTemplate } from "./jinja.ts";
import type { DataRecord } from "./record.ts";
import { type RenderedChat, type RenderRules, renderChat, renderQuestion, TemplateFault } from "./spans.ts";
import { createSpecialTokens } from "./special_tokens.ts";

/** What the thread needs at its start. */
export interface RenderThreadData {
  readonly template: Pick<ChatTemplate, "chat" | "tokens">;
  readonly turns: TurnRule;
  /** Texts of the special tokens. */
  readonly specialTokens: readonly string[];
}

/** Some records; `ask` renders questions. */
export interface RenderJob {
  readonly records: readonly DataRecord[];
  readonly ask: boolean;
}

/** A chat that the template does not write, and why. */
export interface RefusedChat {
  readonly refused: string;
}

/** What they became, or why the template cannot be used, which the chat `record` showed if there is one. */
export type RenderReply =
  | { readonly rendered: readonly (RenderedChat | RefusedChat)[] }
  | { readonly problem: string; readonly record?: number };

const { template, turns, specialTokens } = workerData as RenderThreadData;
const rules: RenderRules = { turns, special: createSpecialTokens(specialTokens) };
let compiled: CompiledTemplate | undefined;
// The library looks names up by errors, and a stack costs more than all else.
Error.stackTraceLimit = 0;

function render({ records, ask }: RenderJob): RenderReply {
  try {
    compiled ??= compileTemplate(template);
  } catch (error) {
    return { problem: `it is no template that can be read: ${(error as Error).message}` };
  }
  const rendered: (RenderedChat | RefusedChat)[] = [];
  for (const [record, item] of records.entries()) {
    try {
      rendered.push(ask ? renderQuestion(compiled, rules, item) : renderChat(compiled, rules, item));
    } catch (error) {
      const { message } = error as Error;
      if (error instanceof TemplateFault) return { problem: message, record };
      rendered.push({ refused: message });
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
