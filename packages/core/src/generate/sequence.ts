/** Sequences being continued: each with its KV caches, its prompts and its length; one pass appends to several of them. */
import type { DeviceArray, KvCache } from "../engine/engine.ts";
import { freeSaved, layerForward } from "../model/block.ts";
import type { DecoderModel } from "../model/decoder.ts";
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

/** An empty sequence of at most `capacity` tokens. */
export function openSequence(
  { engine, config, layers }: DecoderModel,
  capacity: number,
  adapted: SequencePrompts | undefined,
): Sequence {
  const caches: KvCache[] = [];
  try {
    for (const _ of layers) caches.push(engine.kvCache(capacity, 2 * config.kvHeads * config.headDim));
  } catch (error) {
    for (const cache of caches) engine.freeCache(cache);
    throw error;
  }
  return { caches, adapted, ids: [] };
}

export function closeSequence({ engine }: DecoderModel, { caches }: Sequence): void {
  for (const cache of caches) engine.freeCache(cache);
}

/** Appends `ids[s]`, one token or more, to `sequences[s]` and returns the logits `[V]` of each one's last token. */
export async function appendTokens(
  model: DecoderModel,
  sequences: readonly Sequence[],
  ids: readonly (readonly number[])[],
): Promise<Float32Array[]> {
  const { engine, config, layers, head } = model;
  const passed = sequences.map(({ ids: cached }, s) => {
    const isStale = outgrowsCache(config, cached.length, cached.length + ids[s].length);
    return isStale ? { ids: [...cached, ...ids[s]], start: 0 } : { ids: ids[s], start: cached.length };
  });
  const starts = Int32Array.from(passed, ({ start }) => start);
  const tokens = packSequences(passed);
  const { ids_T, cuSeqlens } = tokens;
  const prompts = promptsBySequence(
    sequences.map(({ adapted }) => adapted),
    cuSeqlens,
  );
  const enqueue = (): DeviceArray => {
    const pass = openPass(model, tokens);
    let x_TD = embedTokens(model, tokens);
    for (let i = 0; i < layers.length; i++) {
      const caches = sequences.map((sequence) => sequence.caches[i]);
      const { y_TD, saved } = layerForward(model, i, x_TD, pass, prompts, (qkv_TX, size) => ({
        o_TQ: engine.cachedAttention(qkv_TX, caches, starts, cuSeqlens, size),
        lse_TH: undefined,
      }));
      freeSaved(engine, saved);
      x_TD = y_TD;
    }
    const last = cuSeqlens.subarray(1).map((end) => end - 1);
    return headLogits(model, x_TD, ids_T.length, last);
  };
  // What a router chooses is read on the way: there is no fixed work to record.
  const isDecoding = passed.every((own) => own.ids.length === 1) && config.experts === undefined;
  const logits_SV = await engine.arena(() =>
    engine.read(isDecoding && engine.repeated ? engine.repeated(enqueue) : enqueue()),
  );
  for (const [s, sequence] of sequences.entries()) for (const id of ids[s]) sequence.ids.push(id);
  return sequences.map((_, s) => logits_SV.subarray(s * head.rows, (s + 1) * head.rows));
}
