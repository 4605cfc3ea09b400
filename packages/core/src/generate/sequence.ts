/** Sequences being continued: each with its KV caches, its prompts and its length; one pass appends to several of them. */
import type { DeviceArray, KvCache, LinearOrder } from "../engine/engine.ts";
import { freeSaved, layerForward } from "../model/block.ts";
import type { DecoderModel } from "../model/decoder.ts";
import { openDeltaState } from "../model/delta_net.ts";
import { embedTokens } from "../model/forward.ts";
import { headLogits, packSequences } from "../model/logits.ts";
import { openPass } from "../model/pass.ts";
import { promptsBySequence, type SequencePrompts } from "../model/prompts.ts";
import { outgrowsCache } from "../model/rope_angles.ts";

export interface Sequence {
  /** One a layer. */
  readonly caches: readonly KvCache[];
  readonly adapted: SequencePrompts | undefined;
  /** The tokens in the caches. */
  readonly ids: number[];
}

/** In which order the sums of new rows go: that of many rows for prompts, that of a row alone for answers. */
export type AppendOrder = Exclude<LinearOrder, "any">;

/** What a pass appends to a sequence: one token or more. */
export interface Appended {
  readonly sequence: Sequence;
  readonly ids: readonly number[];
  /** Whether the logits of the last one are wanted. */
  readonly isRead: boolean;
}

/** An empty sequence of at most `capacity` tokens. */
export function openSequence(
  { engine, config, layers }: DecoderModel,
  capacity: number,
  adapted: SequencePrompts | undefined,
): Sequence {
  const caches: KvCache[] = [];
  try {
    for (const { delta } of layers) {
      caches.push(
        delta ? openDeltaState(engine, delta) : engine.kvCache(capacity, 2 * config.kvHeads * config.headDim),
      );
    }
  } catch (error) {
    for (const cache of caches) engine.freeCache(cache);
    throw error;
  }
  return { caches, adapted, ids: [] };
}

export function closeSequence({ engine }: DecoderModel, { caches }: Sequence): void {
  for (const cache of caches) engine.freeCache(cache);
}

/**
 * Appends tokens to sequences, and returns the logits `[V]` of the last token of each that is read; those are always summed as one
 * row alone is.
 */
export async function appendTokens(
  model: DecoderModel,
  appended: readonly Appended[],
  order: AppendOrder,
): Promise<(Float32Array | undefined)[]> {
  const { engine, config, layers, head } = model;
  const sequences = appended.map(({ sequence }) => sequence);
  const passed = appended.map(({ sequence: { ids: cached }, ids }) => {
    const isStale = outgrowsCache(config, cached.length, cached.length + ids.length);
    return isStale ? { ids: [...cached, ...ids], start: 0 } : { ids, start: cached.length };
  });
  const starts = Int32Array.from(passed, ({ start }) => start);
  const tokens = packSequences(passed);
  const { ids_T, cuSeqlens } = tokens;
  const prompts = promptsBySequence(
    sequences.map(({ adapted }) => adapted),
    cuSeqlens,
  );
  const read = appended.flatMap(({ isRead }, s) => (isRead ? [s] : []));
  const enqueue = (): DeviceArray | undefined => {
    const pass = openPass(model, tokens, order);
    let x_TD = embedTokens(model, tokens);
    for (let i = 0; i < layers.length; i++) {
      const caches = sequences.map((sequence) => sequence.caches[i]);
      const { y_TD, saved } = layerForward(model, i, x_TD, pass, prompts, { caches, starts });
      freeSaved(engine, saved);
      x_TD = y_TD;
    }
    const last = Int32Array.from(read, (s) => cuSeqlens[s + 1] - 1);
    if (last.length > 0) return headLogits(model, x_TD, ids_T.length, last, "alone");
    engine.free(x_TD);
    return undefined;
  };
  // What a router chooses is read on the way: there is no fixed work to record.
  const isDecoding = passed.every((own) => own.ids.length === 1) && config.experts === undefined;
  const logits_SV = await engine.arena(async () => {
    const made = isDecoding && engine.repeated ? engine.repeated(enqueue) : enqueue();
    return made && engine.read(made);
  });
  for (const { sequence, ids } of appended) for (const id of ids) sequence.ids.push(id);
  return appended.map((_, s) => {
    const r = read.indexOf(s);
    return r >= 0 ? logits_SV?.subarray(r * head.rows, (r + 1) * head.rows) : undefined;
  });
}
