/** A text on its way through the pool: what was asked, what is answered so far, and who answers. */
import type { AdapterState, FinishReason, SubmittedEvent } from "@zerogate/core";
import type { TextOrder } from "../worker/messages.ts";

/** An adapter as workers know it. Another one under the same name has another number. */
export interface PoolAdapter {
  readonly number: number;
  /** Over shared memory. */
  readonly state: AdapterState;
  /** Of its numbers and shape: texts share keys and values by it. */
  readonly sha256: string;
}

/** A text to answer, and for whom. */
export interface PoolRequest extends Omit<TextOrder, "adapter" | "answerIds" | "name" | "user" | "adapterName"> {
  /** Names it in errors. */
  readonly name: string;
  /** Time is shared between users, then between the adapters of a user. */
  readonly user: string;
  /** The name of its adapter, or of the base. */
  readonly adapterName: string;
  /** Undefined: the base alone. */
  readonly adapter: PoolAdapter | undefined;
  /** Milliseconds from now after which the text ends with an error. @default never */
  readonly timeoutMs?: number | undefined;
}

/** Why a text ended, or with which error. */
export type TextEnd = { readonly finishReason: FinishReason } | { readonly error: Error };

/** Takes what comes of a text; `onEnd` is the last call. */
export interface TextSink {
  onEvent(event: Exclude<SubmittedEvent, { readonly finishReason: unknown }>): void;
  onEnd(end: TextEnd): void;
}

/** A text and who takes its answer. */
export interface Submission {
  readonly request: PoolRequest;
  readonly sink: TextSink;
}

/** A text that has not ended. */
export interface PoolText {
  readonly number: number;
  readonly request: PoolRequest;
  readonly sink: TextSink;
  readonly user: string;
  readonly adapter: string;
  /** The answer so far: another worker goes on behind it, with the tokens that this one would have given. */
  readonly answerIds: number[];
  /** Scores of its prompt have been handed out. */
  isScored: boolean;
  /** Its prompt was counted as service. */
  isCharged: boolean;
  isPaused: boolean;
  /** Workers that ended while they answered it. */
  deaths: number;
  timer: NodeJS.Timeout | undefined;
}

/** What a token of a prompt counts of one of an answer: many go through one pass. */
export const PROMPT_SHARE: number = 1 / 4;

/** What is left to do of a text, in tokens of answers. */
export function workLeft({ request, answerIds, isCharged }: PoolText): number {
  const prompt = isCharged && answerIds.length > 0 ? 0 : PROMPT_SHARE * request.promptIds.length;
  return prompt + Math.max(0, request.maxNewTokens - answerIds.length);
}

/** The order that a worker gets for the text from here on. */
export function orderOf({ request, answerIds, isScored }: PoolText): TextOrder {
  const { adapter, timeoutMs: _, echo, ...order } = request;
  return { ...order, adapter: adapter?.number, echo: echo === true && !isScored, answerIds: [...answerIds] };
}
