/** Sequences being continued: each with its KV caches, its prompts and its length; one pass appends to several of them. */
import type { DeviceArray, KvCache, LinearOrder } from "../engine/engine.ts";
import { freeSaved, layerForward } from "../model/block.ts";
import type { DecoderModel } from "../model/decoder.ts";
import { openDeltaState } from "../model/delta_net.ts";
import { embedTokens } from "../model/forward.ts";
import { headLogits, packSequences } from "../model/logits.ts";
import { openPass, type PackedTokens } from "../model/pass.ts";
import { promptsBySequence, type SequencePrompts, type TokenPrompts } from "../model/prompts.ts";
import { outgrowsCache } from "../model/rope_angles.ts";
import { headScores } from "./head_scores.ts";
import type { TokenScores } from "./scores.ts";

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
  /** The tokens that follow the first ones, to be scored beside the `top` most likely ones. @default none are */
  readonly scored?: { readonly labels: readonly number[]; readonly top: number } | undefined;
}

/** What a pass says of a sequence. */
export interface AppendedResult {
  /** Of its last token, if they are read. */
  readonly logits: Float32Array | undefined;
  /** Of its labels. */
  readonly scores: readonly TokenScores[];
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
 * Appends tokens to sequences. The logits of a last token are always summed as one row alone is, the scores of labels as many rows are.
 */
export async function appendTokens(
  model: DecoderModel,
  appended: readonly Appended[],
  order: AppendOrder,
): Promise<AppendedResult[]> {
  const { engine, config, head } = model;
  const passed = appended.map(({ sequence: { ids: cached }, ids }) => {
    const isStale = outgrowsCache(config, cached.length, cached.length + ids.length);
    return isStale ? { ids: [...cached, ...ids], start: 0 } : { ids, start: cached.length };
  });
  const tokens = packSequences(passed);
  const { cuSeqlens } = tokens;
  const T = tokens.ids_T.length;
  const read = appended.flatMap(({ isRead }, s) => (isRead ? [s] : []));
  const last_R = Int32Array.from(read, (s) => cuSeqlens[s + 1] - 1);
  const adapted = appended.map(({ sequence }) => sequence.adapted);
  const prompts = promptsBySequence(adapted, cuSeqlens);
  const run = () => runLayers(model, appended, tokens, prompts, order);
  const last = { rows_R: last_R, prompts };
  const enqueue = (): DeviceArray => headLogits(model, run(), T, last, "alone");
  // What a router chooses is read on the way: there is no fixed work to record.
  const isDecoding = passed.every((own) => own.ids.length === 1) && config.experts === undefined;
  const scores: TokenScores[][] = appended.map(() => []);
  const logits_SV = await engine.arena(async () => {
    if (isDecoding && last_R.length > 0 && engine.repeated) return engine.read(engine.repeated(enqueue));
    const y_TD = run();
    for (const [s, { ids, scored }] of appended.entries()) {
      if (!scored) continue;
      const first = cuSeqlens[s + 1] - ids.length;
      const rows_R = Int32Array.from(scored.labels, (_, i) => first + i);
      scores[s] = await headScores(model, y_TD, T, { rows_R, prompts, labels_R: scored.labels, top: scored.top });
    }
    return last_R.length > 0 ? engine.read(headLogits(model, y_TD, T, last, "alone")) : undefined;
  });
  for (const { sequence, ids } of appended) for (const id of ids) sequence.ids.push(id);
  return appended.map((_, s) => {
    const r = read.indexOf(s);
    const logits = r >= 0 ? logits_SV?.subarray(r * head.rows, (r + 1) * head.rows) : undefined;
    return { logits, scores: scores[s] };
  });
}

/** The top layer's output of new tokens, whose keys and values go to the caches of their sequences. */
function runLayers(
  model: DecoderModel,
  appended: readonly Appended[],
  tokens: PackedTokens,
  prompts: readonly TokenPrompts[],
  order: AppendOrder,
): DeviceArray {
  const { engine, layers } = model;
  const { cuSeqlens, positions_T } = tokens;
  const sequences = appended.map(({ sequence }) => sequence);
  const starts = Int32Array.from(sequences, (_, s) => positions_T[cuSeqlens[s]]);
  const pass = openPass(model, tokens, order);
  let x_TD = embedTokens(model, tokens);
  for (let i = 0; i < layers.length; i++) {
    const caches = sequences.map((sequence) => sequence.caches[i]);
    const { y_TD, saved } = layerForward(model, i, x_TD, pass, prompts, { caches, starts });
    freeSaved(engine, saved);
    x_TD = y_TD;
  }
  return x_TD;
}
