/** Token by token generation with a KV cache. */
import type { AdapterState } from "../adapter/state.ts";
import type { KvCache } from "../engine/engine.ts";
import { InputError } from "../errors.ts";
import { freeSaved, type LayerPrompt, type LlamaModel, layerForward } from "../model/llama.ts";
import { headLogits, oneSequence } from "../model/logits.ts";
import { openPass, preparePrompts } from "../model/pass.ts";
import { type SamplingOptions, sampleToken } from "./sample.ts";

export interface GenerateOptions extends SamplingOptions {
  /** Upper bound on new tokens; fewer where the model's context ends first. */
  readonly maxNewTokens: number;
  /** Tokens that end the text (they are not yielded). Default: the model's. */
  readonly eosTokenIds?: readonly number[];
  readonly signal?: AbortSignal;
}

/** `stop` is set by `streamText`: a stop string was found. */
export type FinishReason = "eos" | "length" | "context" | "stop";

/**
 * Yields the ids that follow `promptIds` and returns why it ended. The parameters are read once, at the start. Leaving the
 * loop early frees the cache.
 * @throws InputError where the prompt is empty or does not fit the model's context.
 */
export async function* generate(
  model: LlamaModel,
  adapter: AdapterState | undefined,
  promptIds: readonly number[],
  options: GenerateOptions,
): AsyncGenerator<number, FinishReason, void> {
  const { contextLength, eosTokenIds } = model.config;
  const { maxNewTokens, eosTokenIds: ends = eosTokenIds, signal } = options;
  if (promptIds.length === 0) throw new InputError("Cannot generate", "the prompt has no tokens, give at least one");
  if (promptIds.length >= contextLength) {
    const found = `the prompt has ${promptIds.length} tokens, the model's context is ${contextLength}`;
    throw new InputError("Cannot generate", `${found}: shorten the prompt to leave room for the answer`);
  }
  const capacity = Math.min(contextLength, promptIds.length + maxNewTokens);
  const session = await openSession(model, adapter, capacity);
  try {
    let ids: readonly number[] = promptIds;
    for (let count = 0; count < maxNewTokens; count++) {
      signal?.throwIfAborted();
      if (session.length + ids.length > contextLength) return "context";
      const logits = await session.append(ids);
      const id = sampleToken(logits, session.length, options);
      if (ends.includes(id)) return "eos";
      yield id;
      ids = [id];
    }
    return "length";
  } finally {
    await session.close();
  }
}

/** A sequence being continued: keys and values of what was appended so far. */
export interface Session {
  readonly length: number;
  /** Runs the new tokens and returns the logits `[V]` of the last one. */
  append(ids: readonly number[]): Promise<Float32Array>;
  close(): Promise<void>;
}

/** Opens an empty sequence of at most `capacity` tokens under one snapshot of the adapter. */
export async function openSession(
  model: LlamaModel,
  adapter: AdapterState | undefined,
  capacity: number,
): Promise<Session> {
  const { engine, config } = model;
  const prompts = await engine.arena(async () => {
    const prepared = preparePrompts(model, adapter);
    for (const { kv_KY } of prepared.values()) engine.keep(kv_KY);
    return prepared;
  });
  const caches: KvCache[] = [];
  const close = async () => {
    for (const cache of caches) engine.freeCache(cache);
    for (const { kv_KY } of prompts.values()) engine.free(kv_KY);
  };
  try {
    for (const _ of model.layers) caches.push(engine.kvCache(capacity, 2 * config.kvHeads * config.headDim));
  } catch (error) {
    await close();
    throw error;
  }
  let length = 0;
  return {
    get length() {
      return length;
    },
    async append(ids) {
      const logits = await engine.arena(() => appendTokens(model, prompts, caches, ids, length));
      length += ids.length;
      return logits;
    },
    close,
  };
}

async function appendTokens(
  model: LlamaModel,
  prompts: ReadonlyMap<number, LayerPrompt>,
  caches: readonly KvCache[],
  ids: readonly number[],
  start: number,
): Promise<Float32Array> {
  const { engine } = model;
  const tokens = oneSequence(ids, start);
  const pass = openPass(model, tokens);
  const starts = Int32Array.of(start);
  let x_TD = engine.embed(model.embed, tokens.ids_T);
  for (const [i, layer] of model.layers.entries()) {
    const { y_TD, saved } = layerForward(model, layer, x_TD, pass, prompts.get(i), (qkv_TX) => ({
      o_TQ: engine.cachedAttention(qkv_TX, [caches[i]], starts, tokens.cuSeqlens, pass.size),
      lse_TH: undefined,
    }));
    freeSaved(engine, saved);
    x_TD = y_TD;
  }
  return engine.read(headLogits(model, x_TD, ids.length, Int32Array.of(ids.length - 1)));
}
