/** Sequences being continued: each with its KV caches, its prompts and its length; one pass appends to several of them. */
import type { DeviceArray, KvCache } from "../engine/engine.ts";
import { freeSaved, layerForward } from "../model/block.ts";
import type { DecoderModel } from "../model/decoder.ts";
import { embedTokens } from "../model/forward.ts";
import { headLogits, packSequences } from "../model/logits.ts";
import { openPass } from "../model/pass.ts";
import { promptsBySequence, type SequencePrompts } from "../model/prompts.ts";

export interface Sequence {
  /** One a layer. */
  readonly caches: readonly KvCache[];
  readonly adapted: SequencePrompts | undefined;
  /** Tokens in the caches. */
  length: number;
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
  return { caches, adapted, length: 0 };
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
  const { engine, layers, head } = model;
  const starts = Int32Array.from(sequences, ({ length }) => length);
  const tokens = packSequences(ids.map((own, s) => ({ ids: own, start: starts[s] })));
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
  const isDecoding = ids.every(({ length }) => length === 1);
  const logits_SV = await engine.arena(() =>
    engine.read(isDecoding && engine.repeated ? engine.repeated(enqueue) : enqueue()),
  );
  for (const [s, sequence] of sequences.entries()) sequence.length += ids[s].length;
  return sequences.map((_, s) => logits_SV.subarray(s * head.rows, (s + 1) * head.rows));
}
