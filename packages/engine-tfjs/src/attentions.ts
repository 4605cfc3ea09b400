/** Attention of texts, of texts that go on and of prompts, as composites over an engine's arrays. */
import {
  type AttentionSize,
  checkPromptSets,
  type DeviceArray,
  type Engine,
  type KvCache,
  type PromptSet,
} from "@zerogate/core/engine";
import type { Arrays } from "./arrays.ts";
import { attend } from "./ops/attend.ts";
import { attention, attentionBackward, causalMask } from "./ops/attention.ts";
import { promptAttention, promptAttentionBackward, singlePrompts } from "./ops/prompt_attention.ts";
import { rope } from "./ops/rope.ts";
import { type Backend, part, type Tensor } from "./tf.ts";

/** `[tokens seen, 2G, d]`, which grows; nothing before the first tokens. */
export interface TfjsCache extends KvCache {
  readonly Y: number;
  rows: Tensor | undefined;
}

const qkvView = ({ view }: Arrays, array: DeviceArray, { T, H, G, d }: AttentionSize) => view(array, [T, H + 2 * G, d]);

export function attentions(
  backend: Backend,
  arrays: Arrays,
): Pick<Engine, "rope" | "attention" | "attentionBackward" | "cachedAttention"> {
  const { tf } = backend;
  const { compute, own, view, replace } = arrays;
  return {
    rope(qkv, cosSin, size) {
      replace(
        qkv,
        compute(() => rope(backend, qkvView(arrays, qkv, size), view(cosSin, [size.T, size.d]), size)),
      );
    },

    attention(qkv, cuSeqlens, size) {
      const { o_THd, lse_TH } = compute(() => attention(backend, qkvView(arrays, qkv, size), cuSeqlens, size));
      return { o_TQ: own(o_THd), lse_TH: own(lse_TH) };
    },
    attentionBackward({ do_TQ, qkv_TX, lse_TH }, cuSeqlens, size) {
      const { T, H, d } = size;
      return own(
        compute(() => {
          const [do_THd, qkv] = [view(do_TQ, [T, H, d]), qkvView(arrays, qkv_TX, size)];
          const input = { do_THd, qkv, lse_TH: view(lse_TH, [T, H]) };
          return attentionBackward(backend, input, cuSeqlens, size);
        }),
      );
    },
    cachedAttention(qkv, caches, starts, cuSeqlens, size) {
      const { H, G, d, cap, window } = size;
      const outputs = caches.map((cache, s) => {
        const [begin = 0, end = 0, start = 0] = [cuSeqlens[s], cuSeqlens[s + 1], starts[s]];
        const n = end - begin;
        const kept = cache as TfjsCache;
        if (start + n > cache.capacity) {
          throw new RangeError(`Cannot keep ${start + n} tokens: the cache was made for ${cache.capacity}`);
        }
        const grown = compute(() => {
          const fresh = part(tf, part(tf, qkvView(arrays, qkv, size), 0, begin, end), 1, H, H + 2 * G);
          return kept.rows && start > 0 ? tf.concat([part(tf, kept.rows, 0, 0, start), fresh]) : fresh;
        });
        kept.rows?.dispose();
        kept.rows = grown;
        return compute(() => {
          const q = part(tf, part(tf, qkvView(arrays, qkv, size), 0, begin, end), 1, 0, H);
          const [k, v] = [part(tf, grown, 1, 0, G), part(tf, grown, 1, G, 2 * G)];
          const mask = causalMask(backend, n, start + n, start, window);
          return attend(backend, q, { k, v, mask }, { H, G, d, cap }).o_nHd;
        });
      });
      const joined = compute(() => tf.concat(outputs));
      tf.dispose(outputs);
      return own(joined);
    },
  };
}

export function promptAttentions(
  backend: Backend,
  arrays: Arrays,
): Pick<Engine, "promptAttention" | "promptAttentionBackward"> {
  const { tf } = backend;
  const { compute, own, view, replace } = arrays;
  const kvOf = ({ kv_RY, rows: [first, end] }: PromptSet, { G, d }: AttentionSize) =>
    part(tf, view(kv_RY, [kv_RY.length / (2 * G * d), 2 * G, d]), 0, first, end);
  return {
    promptAttention(o, { qkv_TX, sets }, size) {
      checkPromptSets("promptAttention", sets, size);
      const { T, H, G, d } = size;
      return own(
        compute(() => {
          const [past, qkv] = [view(o, [T, H, d]), qkvView(arrays, qkv_TX, size)];
          if (sets.length > 1 && sets.every(({ rows: [first, end] }) => end - first === 1)) {
            const values = tf.concat(sets.map((set) => part(tf, kvOf(set, size), 1, G, 2 * G)));
            return singlePrompts(backend, past, { values_SGd: values, sets }, size);
          }
          const parts: Tensor[] = [];
          let next = 0;
          for (const set of sets) {
            const [from, to] = set.tokens;
            // All are computed, so that a token has the same bits for any range.
            const y = promptAttention(backend, past, { qkv, kv: kvOf(set, size), gate_H: set.gate_H }, size);
            parts.push(part(tf, past, 0, next, from), part(tf, y, 0, from, to));
            next = to;
          }
          return tf.concat([...parts, part(tf, past, 0, next, T)]);
        }),
      );
    },
    promptAttentionBackward({ do_TQ, qkv_TX, sets, dqkv_TX }, size) {
      checkPromptSets("promptAttentionBackward", sets, size);
      const { T, H, G, d } = size;
      return sets.map((set) => {
        const [from, to] = set.tokens;
        if (from === to) {
          const zeros = compute(() => ({ dkv: tf.zerosLike(kvOf(set, size)), dgate: tf.zeros([H]) }));
          return { dkv_KY: own(zeros.dkv), dgate_H: own(zeros.dgate) };
        }
        const { dq, dkv, dgate } = compute(() => {
          const [qkv, dO] = [qkvView(arrays, qkv_TX, size), view(do_TQ, [T, H, d])].map((all) =>
            part(tf, all, 0, from, to),
          );
          const input = { qkv: qkv as Tensor, kv: kvOf(set, size), gate_H: set.gate_H };
          return promptAttentionBackward(backend, dO as Tensor, input, { ...size, T: to - from });
        });
        if (dqkv_TX) {
          const places: [number, number][] = [
            [from, T - to],
            [0, 2 * G],
            [0, 0],
          ];
          replace(
            dqkv_TX,
            compute(() => tf.add(qkvView(arrays, dqkv_TX, size), tf.pad(dq, places))),
          );
        }
        dq.dispose();
        return { dkv_KY: own(dkv), dgate_H: own(dgate) };
      });
    },
  };
}
