/** Answers of texts: from what a request asks to texts of the pool, and from their tokens to texts and log-probabilities. */
import { randomInt } from "node:crypto";
import type { FinishReason, SamplingOptions, TokenScores } from "@zerogate/core";
import type { ServedAdapter } from "../adapters/registry.ts";
import { deferred } from "../deferred.ts";
import { badRequest } from "../http/api_error.ts";
import type { PooledText } from "../replicas/pool.ts";
import type { PoolRequest, Submission, TextSink } from "../replicas/pool_text.ts";
import { openAnswerText } from "./answer_text.ts";
import type { AnswerSchema } from "./response_format.ts";
import type { Served, Target } from "./served.ts";
import type { SamplingBody } from "./shapes.ts";

/** A prompt of a request. */
export interface Prompt {
  readonly ids: readonly number[];
  /** Tokens that end its answer. */
  readonly endIds: readonly number[];
}

/** What the texts of a request have in common. */
export interface AnswerSettings {
  readonly body: SamplingBody;
  readonly maxNewTokens: number | undefined;
  /** Scores come with each token, and those of this many most likely ones. */
  readonly topScores: number | undefined;
  readonly echo: boolean;
  /** What the answers follow. @default any text */
  readonly schema?: AnswerSchema | undefined;
  readonly user: string;
  /** Names the request in errors. */
  readonly name: string;
}

/** A token of an answer. */
export interface AnsweredToken {
  readonly id: number;
  /** What it adds to the text. */
  readonly text: string;
  readonly scores: TokenScores | undefined;
}

/** What came of one text. */
interface Piece {
  /** What can be sent of the answer's text. */
  readonly text: string;
  readonly tokens: readonly AnsweredToken[];
}

/** Takes what comes of the texts of a request; texts are counted prompt by prompt. */
export interface AnswerListener {
  /** Scores of a prompt from its second token on, before the first piece. */
  onPrompt(text: number, scores: readonly TokenScores[]): void;
  onPiece(text: number, piece: Piece): void;
  onEnd(text: number, reason: FinishReason): void;
}

/** Texts that are being answered. */
export interface Answering {
  /** Resolves once all have ended. Rejects with the first error, after the others were cancelled. */
  readonly done: Promise<void>;
  cancel(): void;
  pause(): void;
  resume(): void;
}

/** @throws ApiError 400 for a prompt that leaves no room for an answer, QueueFullError if too many texts wait. */
export function startAnswers(
  served: Served,
  { name: adapterName, adapter }: Target,
  prompts: readonly Prompt[],
  settings: AnswerSettings,
  listener: AnswerListener,
): Answering {
  const { n } = settings.body;
  checkCounts(served, prompts.length * n, settings.body);
  for (const prompt of prompts) checkPrompt(served, prompt, settings);
  const seed = settings.body.seed ?? randomInt(2 ** 31);
  let left = prompts.length * n;
  const done = deferred<void>();
  let pooled: readonly PooledText[] = [];
  const release = adapter && served.adapters.lease(adapter);
  const stopAll = (): void => {
    for (const text of pooled) text.cancel();
    release?.();
  };
  const ended = (error?: Error): void => {
    left--;
    if (error) {
      stopAll();
      done.reject(error);
    } else if (left === 0) {
      release?.();
      done.resolve();
    }
  };
  const submissions = prompts.flatMap((prompt) =>
    Array.from({ length: n }, (_, choice): Omit<Submission, "sink"> & { readonly prompt: Prompt } => {
      return { prompt, request: requestOf(served, prompt, { ...settings, adapter, adapterName, seed: seed + choice }) };
    }),
  );
  try {
    pooled = served.pool.submit(
      submissions.map(({ prompt, request }, text) => {
        const stop = () => pooled[text]?.cancel();
        return { request, sink: sinkOf(served, prompt, settings.body.stop, { text, listener, stop, ended }) };
      }),
    );
  } catch (error) {
    release?.();
    throw error;
  }
  return {
    done: done.promise,
    cancel: stopAll,
    pause: () => pooled.forEach((text) => text.pause()),
    resume: () => pooled.forEach((text) => text.resume()),
  };
}

interface SinkOptions {
  readonly text: number;
  readonly listener: AnswerListener;
  readonly stop: () => void;
  readonly ended: (error?: Error) => void;
}

/** Makes texts of tokens, and ends the text at a stop text. */
function sinkOf(
  { base: { tokenizer }, metrics }: Served,
  { ids }: Prompt,
  stop: readonly string[],
  { text, listener, stop: stopText, ended }: SinkOptions,
): TextSink {
  const answer = openAnswerText(tokenizer, ids, stop);
  const clock = metrics.text(ids.length);
  return {
    onEvent(event) {
      if ("promptScores" in event) return listener.onPrompt(text, event.promptScores);
      clock.token();
      const { text: more, added, isStopped } = answer.push(event.id);
      listener.onPiece(text, { text: more, tokens: [{ id: event.id, text: added, scores: event.scores }] });
      if (!isStopped) return;
      clock.end();
      stopText();
      listener.onEnd(text, "stop");
      ended();
    },
    onEnd(end) {
      clock.end();
      if ("error" in end) return ended(end.error);
      const { text: rest, isStopped } = answer.end();
      if (rest !== "") listener.onPiece(text, { text: rest, tokens: [] });
      listener.onEnd(text, isStopped ? "stop" : end.finishReason);
      ended();
    },
  };
}

function requestOf(
  { base, settings: { requestTimeoutMs } }: Served,
  { ids, endIds }: Prompt,
  {
    body,
    seed,
    adapter,
    adapterName,
    maxNewTokens,
    topScores,
    echo,
    schema,
    user,
    name,
  }: AnswerSettings & {
    readonly seed: number;
    readonly adapter: ServedAdapter | undefined;
    readonly adapterName: string;
  },
): PoolRequest {
  const room = base.config.contextLength - ids.length;
  const timeoutMs = body.timeout === undefined ? requestTimeoutMs : 1000 * body.timeout;
  return {
    ...samplingOf(body),
    promptIds: ids,
    seed,
    name,
    user,
    adapter,
    adapterName,
    scale: body.adapter_scale,
    maxNewTokens: Math.min(maxNewTokens ?? room, room),
    eosTokenIds: body.ignore_eos ? [] : endIds,
    stopTokenIds: body.stop_token_ids,
    ...(topScores !== undefined && { topScores }),
    echo,
    ...(schema && { schema: schema.schema }),
    ...(timeoutMs !== undefined && { timeoutMs }),
  };
}

function samplingOf(body: SamplingBody): SamplingOptions {
  return {
    temperature: body.temperature,
    topP: body.top_p,
    topK: Math.max(0, body.top_k),
    minP: body.min_p,
    repetitionPenalty: body.repetition_penalty,
    presencePenalty: body.presence_penalty,
    frequencyPenalty: body.frequency_penalty,
    logitBias: body.logit_bias,
  };
}

function checkCounts({ pool }: Served, texts: number, { n, best_of }: SamplingBody): void {
  if (best_of !== undefined && best_of !== n)
    throw badRequest(`Cannot use best_of: it is ${best_of} and n is ${n}, leave it out`, "best_of", "unsupported");
  if (texts > pool.room)
    throw badRequest(`Cannot answer ${texts} texts at once: the server takes ${pool.room}, send fewer`, "prompt");
}

function checkPrompt({ base: { config } }: Served, { ids }: Prompt, { schema, maxNewTokens }: AnswerSettings): void {
  if (ids.length === 0) throw badRequest("Cannot answer an empty prompt: it has no token", "prompt");
  const wrong = ids.find((id) => id >= config.vocabSize);
  if (wrong !== undefined)
    throw badRequest(`Cannot use token ${wrong}: the model has ${config.vocabSize} tokens`, "prompt");
  const room = config.contextLength - ids.length;
  const most = Math.min(maxNewTokens ?? room, room);
  if (room > 0 && schema && schema.leastTokens > most) {
    const found = `its shortest value may need ${schema.leastTokens} tokens, the answer may have ${most}`;
    throw badRequest(`Cannot follow the schema: ${found}, allow more with max_tokens`, "max_tokens");
  }
  if (room > 0) return;
  const found = `the prompt has ${ids.length} tokens, the model's context is ${config.contextLength}`;
  throw badRequest(`Cannot answer: ${found}, shorten the prompt`, "prompt", "context_length_exceeded");
}
