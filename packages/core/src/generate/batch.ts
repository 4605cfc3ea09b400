/**
 * Token by token generation of several texts at once, each with its own prompt, adapter, sampling and KV cache. A text joins
 * as soon as another has ended, and each gets the tokens that it would get alone (bit for bit on an engine whose traits say
 * `keepsRowBits`).
 */
import { InputError } from "../errors.ts";
import type { DecoderModel } from "../model/decoder.ts";
import type { PromptCache } from "../model/prompt_cache.ts";
import { problemsOf } from "./requests.ts";
import { openRounds } from "./rounds.ts";
import type { FinishReason, TextRequest } from "./text.ts";

/** A new token of a request, or why it ended. */
export type BatchEvent =
  | { readonly request: number; readonly id: number }
  | { readonly request: number; readonly finishReason: FinishReason };

/** How several texts are generated at once. */
export interface BatchOptions {
  /** Texts that are worked on at the same time; each holds a KV cache. @default 16 */
  readonly maxTexts?: number;
  /** Ends all texts with an error before the next token. @default none */
  readonly signal?: AbortSignal | undefined;
}

/** All texts are known, and none is kept. */
const unlimited = { passTokens: Number.POSITIVE_INFINITY, kvTokens: Number.POSITIVE_INFINITY, keptTexts: 0 };

/**
 * Yields the tokens of all requests as they come, round by round. The parameters of a request are read once, when its text
 * begins. Leaving the loop early frees everything. If a text fails, the others go on, and then its error is thrown.
 * @throws InputError listing every request that cannot be answered.
 */
export async function* decodeTexts(
  model: DecoderModel,
  cache: PromptCache,
  requests: readonly TextRequest[],
  { maxTexts = 16, signal }: BatchOptions = {},
): AsyncGenerator<BatchEvent, void, void> {
  checkRequests(requests, model);
  const rounds = openRounds(model, cache, { ...unlimited, maxRunning: maxTexts });
  for (const request of requests) rounds.add(request);
  const errors: Error[] = [];
  try {
    while (rounds.load.running + rounds.load.waiting > 0) {
      signal?.throwIfAborted();
      for (const { text: request, ...event } of await rounds.run()) {
        if ("error" in event) errors.push(event.error);
        else if (!("promptScores" in event)) yield { request, ...event };
      }
    }
  } finally {
    rounds.close();
  }
  for (const error of errors) throw error;
}

function checkRequests(requests: readonly TextRequest[], { config }: DecoderModel): void {
  const problems = requests.flatMap((request, i) => {
    const where = requests.length > 1 ? `text ${i + 1}: ` : "";
    return problemsOf(request, config).map((problem) => where + problem);
  });
  if (problems.length > 0) throw new InputError("Cannot generate", problems);
}
