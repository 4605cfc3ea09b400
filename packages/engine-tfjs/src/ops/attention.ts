/**
 * Attention inside each of several packed sequences, causal or of all tokens. A sequence goes in blocks of queries, each with the keys that it
 * may see, so that no more than `MAX_SCORES` scores exist at a time, for any length.
 */
import type { AttentionSize } from "@zerogate/core/engine";
import { type Maths, part, type Tensor } from "../tf.ts";
import { attend, attendBackward } from "./attend.ts";

/** Scores held at a time, as far as one row of all heads allows it: 16 MB. */
const MAX_SCORES = 2 ** 22;

/** Added to the score of a key that is not seen; WebGPU promises nothing about infinities. */
const UNSEEN = -1e30;

/** Rows of queries of one sequence, and the rows of the keys that at least one of them sees. */
interface Block {
  readonly queries: readonly [from: number, to: number];
  readonly keys: readonly [from: number, to: number];
}

/** Without a mask every query sees the whole sequence. */
type Seen = AttentionSize & { causal?: boolean };

/** The blocks of each sequence. */
function blocksOf(cuSeqlens: Int32Array, { H, window, causal = true }: Seen): Block[][] {
  return Array.from(cuSeqlens.subarray(1), (end, s) => {
    const begin = cuSeqlens[s] ?? 0;
    const rows = Math.max(1, Math.floor(MAX_SCORES / (H * (end - begin))));
    const blocks: Block[] = [];
    for (let from = begin; from < end; from += rows) {
      const to = Math.min(end, from + rows);
      const first = window === 0 ? begin : Math.max(begin, from - window + 1);
      blocks.push({ queries: [from, to], keys: causal ? [first, to] : [begin, end] });
    }
    return blocks;
  });
}

/**
 * What is added to the scores of n queries over m keys: query i stands `offset` keys after key i, and sees the keys up to its
 * own place, `window` of them at most.
 */
export function causalMask({ tf }: Maths, n: number, m: number, offset: number, window: number): Tensor | undefined {
  const isSeen = (i: number, j: number) => j <= i + offset && (window === 0 || i + offset - j < window);
  const values = new Float32Array(n * m);
  let hides = false;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) {
      if (isSeen(i, j)) continue;
      values[i * m + j] = UNSEEN;
      hides = true;
    }
  }
  return hides ? tf.tensor2d(values, [n, m]) : undefined;
}

/** `qkv` is `[T, H+2G, d]`. */
export function attention(
  maths: Maths,
  qkv: Tensor,
  cuSeqlens: Int32Array,
  size: Seen,
): { o_THd: Tensor; lse_TH: Tensor } {
  const { tf } = maths;
  const results = blocksOf(cuSeqlens, size)
    .flat()
    .map((block) =>
      tf.tidy(() => {
        const q = queriesOf(maths, qkv, block, size);
        const { o_nHd, lse_Hn1 } = attend(maths, q, keysOf(maths, qkv, block, size), size);
        return { o: o_nHd, lse: tf.transpose(tf.reshape(lse_Hn1, [size.H, -1])) };
      }),
    );
  return { o_THd: tf.concat(results.map(({ o }) => o)), lse_TH: tf.concat(results.map(({ lse }) => lse)) };
}

export function attentionBackward(
  maths: Maths,
  input: { do_THd: Tensor; qkv: Tensor; lse_TH: Tensor },
  cuSeqlens: Int32Array,
  size: AttentionSize,
): Tensor {
  const { tf } = maths;
  const sequences = blocksOf(cuSeqlens, size).filter((blocks) => blocks.length > 0);
  return tf.concat(sequences.map((blocks) => tf.tidy(() => sequenceBackward(maths, input, blocks, size))));
}

/** `[n, H+2G, d]` of the rows of one sequence. */
function sequenceBackward(
  maths: Maths,
  input: { do_THd: Tensor; qkv: Tensor; lse_TH: Tensor },
  blocks: readonly Block[],
  size: AttentionSize,
): Tensor {
  const { tf } = maths;
  const { H } = size;
  const [begin, end] = [blocks[0]?.queries[0] ?? 0, blocks.at(-1)?.queries[1] ?? 0];
  const dqs: Tensor[] = [];
  let dkv: Tensor | undefined;
  for (const block of blocks) {
    const [from, to] = block.queries;
    const grads = tf.tidy(() => {
      const lse = tf.transpose(tf.slice(input.lse_TH, [from, 0], [to - from, H]));
      const own = {
        do_nHd: part(tf, input.do_THd, 0, from, to),
        q: queriesOf(maths, input.qkv, block, size),
        lse_Hn1: tf.reshape(lse, [H, to - from, 1]),
      };
      const { dq, dk, dv } = attendBackward(maths, own, keysOf(maths, input.qkv, block, size), size);
      const padding: [number, number] = [block.keys[0] - begin, end - block.keys[1]];
      return { dq, dkv: tf.pad(tf.concat([dk, dv], 1), [padding, [0, 0], [0, 0]]) };
    });
    dqs.push(grads.dq);
    dkv = dkv ? tf.add(dkv, grads.dkv) : grads.dkv;
  }
  return tf.concat([tf.concat(dqs), ...(dkv ? [dkv] : [])], 1);
}

function queriesOf({ tf }: Maths, qkv: Tensor, { queries: [from, to] }: Block, { H }: AttentionSize): Tensor {
  return part(tf, part(tf, qkv, 0, from, to), 1, 0, H);
}

function keysOf(maths: Maths, qkv: Tensor, { queries, keys: [from, to] }: Block, size: Seen) {
  const { H, G, window, causal = true } = size;
  const rows = part(maths.tf, qkv, 0, from, to);
  return {
    k: part(maths.tf, rows, 1, H, H + G),
    v: part(maths.tf, rows, 1, H + G, H + 2 * G),
    mask: causal ? causalMask(maths, queries[1] - queries[0], to - from, queries[0] - from, window) : undefined,
  };
}
