/** Token by token generation with a KV cache: one text, or a sequence that the caller continues. */
import type { AdapterState } from "../adapter/kinds/kind.ts";
import type { ImageInput } from "../cell/tokens.ts";
import type { DecoderModel } from "../model/decoder.ts";
import { openPromptCache, type PromptCache } from "../model/prompt_cache.ts";
import { type BatchEvent, type BatchOptions, decodeTexts } from "./batch.ts";
import { appendTokens, closeSequence, openSequence } from "./sequence.ts";
import { type FinishReason, leaseText, type TextOptions, type TextRequest } from "./text.ts";

/** How one text is generated, and what ends it from outside. */
export interface GenerateOptions extends TextOptions {
  /** Blends the gates: 0 is the base, 1 the adapter. @default 1 */
  readonly scale?: number;
  /** The image that it is about, as its adapter takes it. @default none */
  readonly image?: ImageInput | undefined;
  /** Ends the text with an error before the next token. @default none */
  readonly signal?: AbortSignal;
}

/**
 * Yields the ids that follow `promptIds` and returns why it ended. The parameters are read once, at the start. Leaving the
 * loop early frees the cache.
 *
 * @throws InputError if the prompt is empty or does not fit the model's context.
 * @example
 * const ids: number[] = [];
 * for await (const id of generate(model, adapter, [1, 15, 8], { maxNewTokens: 16, temperature: 0.7, seed: 1 })) ids.push(id);
 */
export async function* generate(
  model: DecoderModel,
  adapter: AdapterState | undefined,
  promptIds: readonly number[],
  options: GenerateOptions,
): AsyncGenerator<number, FinishReason, void> {
  const cache = openPromptCache(model);
  try {
    return yield* generateFrom(model, cache, adapter, promptIds, options);
  } finally {
    cache.close();
  }
}

/** The same with prompts from a cache that outlives the text. */
export async function* generateFrom(
  model: DecoderModel,
  cache: PromptCache,
  adapter: AdapterState | undefined,
  promptIds: readonly number[],
  { signal, ...options }: GenerateOptions,
): AsyncGenerator<number, FinishReason, void> {
  for await (const event of decodeTexts(model, cache, [{ ...options, promptIds, adapter }], { signal })) {
    if ("finishReason" in event) return event.finishReason;
    yield event.id;
  }
  throw new RangeError("Cannot generate: the text has no end");
}

/**
 * Continues several texts at once, each under its own adapter or none, and yields the tokens of each as they come: the same that it
 * gets alone.
 *
 * @throws InputError if a prompt is empty or does not fit the model's context.
 * @example
 * const requests = [{ promptIds: [1, 15, 8], maxNewTokens: 4 }, { promptIds: [1, 4], adapter, maxNewTokens: 4 }];
 * for await (const event of generateBatch(model, requests)) console.log(event);
 */
export async function* generateBatch(
  model: DecoderModel,
  requests: readonly TextRequest[],
  options: BatchOptions = {},
): AsyncGenerator<BatchEvent, void, void> {
  const cache = openPromptCache(model);
  try {
    yield* decodeTexts(model, cache, requests, options);
  } finally {
    cache.close();
  }
}

/** A sequence being continued: keys and values of what was appended so far. */
export interface Session {
  readonly length: number;
  /** Runs the new tokens and returns the logits `[V]` of the last one. */
  append(ids: readonly number[]): Promise<Float32Array>;
  /** Frees the cache. */
  close(): Promise<void>;
}

/**
 * Opens an empty sequence of at most `capacity` tokens under one snapshot of the adapter. Close it: it holds memory of the engine.
 *
 * @param image that it is about, as its adapter takes it.
 * @example
 * const session = await openSession(model, adapter, 32);
 * const logits = await session.append([1, 15, 8]); // [V]
 * await session.close();
 */
export async function openSession(
  model: DecoderModel,
  adapter: AdapterState | undefined,
  capacity: number,
  image?: ImageInput,
): Promise<Session> {
  const cache = openPromptCache(model);
  const leases = await leaseText(model, cache, { adapter, image });
  cache.close(); // the leases hold what this session needs
  try {
    const sequence = openSequence(model, capacity, leases.adapted);
    return {
      get length() {
        return sequence.ids.length;
      },
      async append(ids) {
        const order = ids.length > 1 ? "packed" : "alone";
        const [{ logits = new Float32Array() }] = await appendTokens(model, [{ sequence, ids, isRead: true }], order);
        return logits;
      },
      async close() {
        closeSequence(model, sequence);
        leases.release();
      },
    };
  } catch (error) {
    leases.release();
    throw error;
  }
}
