/** Attention over packed tokens, by the flash kernels if those are for such heads, and over caches. */
import type { AttentionSize, DeviceArray, Engine, KvCache } from "@zerogate/core/engine";
import type { Block } from "../device_memory.ts";
import type { Launch } from "../kernels.ts";
import { bytesOf, type Runtime } from "../runtime.ts";
import { flashBackward, flashForward, isFlash } from "./flash.ts";
import { tilesOf } from "./tiles.ts";

const LARGEST_HEAD = 256;
const WARPS = 4;
/** Keys of a cache that are summed up at a time. The bits of a text depend on it, not on what is decoded beside it. */
const PART_KEYS = 256;
/** Warps of a multiprocessor below which queries are split over their keys. */
const BUSY_WARPS = 16;
/** All keys at once. */
const WHOLE = 2 ** 30;
/** The window of `attend` without a mask. */
const UNMASKED = -1;

export interface CudaCache extends KvCache {
  readonly block: Block;
}

const widthOf = ({ H, G, d }: AttentionSize) => (H + 2 * G) * d;
const scaleOf = ({ d }: AttentionSize) => 1 / Math.sqrt(d);

/** One warp a token and head. */
const warps = (count: number): Launch => ({ grid: [Math.ceil(count / WARPS)], block: 32 * WARPS });

function checkHead({ d }: AttentionSize): void {
  if (d > LARGEST_HEAD)
    throw new RangeError(`Cannot attend with a head dimension of ${d}: at most ${LARGEST_HEAD} is possible here`);
}

export function attention(
  runtime: Runtime,
  qkv: DeviceArray,
  cuSeqlens: Int32Array,
  { causal = true, ...size }: AttentionSize & { causal?: boolean },
): ReturnType<Engine["attention"]> {
  checkHead(size);
  if (causal && isFlash(runtime, size)) {
    const { y_TQ, lse_TH } = flashForward(runtime, qkv, tilesOf(cuSeqlens), size);
    return { o_TQ: y_TQ, lse_TH };
  }
  const { T, H, d } = size;
  const o_TQ = runtime.array(T * H * d, runtime.inner);
  const lse_TH = runtime.array(T * H);
  runtime.as(runtime.inner, [qkv], (at = 0n) => {
    const X = widthOf(size);
    const step = bytesOf[runtime.inner];
    const keys = BigUint64Array.from(cuSeqlens.subarray(0, -1), (t) => at + BigInt((t * X + H * d) * step));
    const seen = causal ? size : { ...size, window: UNMASKED };
    const starts = new Int32Array(keys.length);
    attend(runtime, { o_TQ, lse_TH, qkv: at, keys, stride: X, starts, cuSeqlens }, seen, WHOLE);
  });
  return { o_TQ, lse_TH };
}

export function attentionBackward(
  runtime: Runtime,
  { do_TQ, qkv_TX, o_TQ, lse_TH }: Parameters<Engine["attentionBackward"]>[0],
  cuSeqlens: Int32Array,
  size: AttentionSize,
): DeviceArray {
  if (isFlash(runtime, size)) {
    return flashBackward(runtime, { do_TQ, qkv_TX, y_TQ: o_TQ, lse_TH }, tilesOf(cuSeqlens), size);
  }
  const { T, H, G, d, cap = 0, window } = size;
  const dqkv = runtime.array(qkv_TX.length, runtime.inner);
  const delta = runtime.array(T * H);
  runtime.as(runtime.inner, [do_TQ, qkv_TX, o_TQ], (dO, qkv, o) =>
    runtime.withData([cuSeqlens], (cu) => {
      const [out, lse, deltas, scale] = [runtime.at(dqkv), runtime.at(lse_TH), runtime.at(delta), scaleOf(size)];
      const shape = [cu, cuSeqlens.length - 1, T, H, G, d, window, scale, cap];
      runtime.run("attention", "attend_backward_q", warps(T * H), [out, deltas, dO, qkv, o, lse, ...shape]);
      runtime.run("attention", "attend_backward_kv", warps(T * G), [out, deltas, dO, qkv, lse, ...shape]);
    }),
  );
  runtime.free(delta);
  return dqkv;
}

export function cachedAttention(
  runtime: Runtime,
  qkv: DeviceArray,
  caches: readonly KvCache[],
  starts: Int32Array,
  cuSeqlens: Int32Array,
  size: AttentionSize,
): DeviceArray {
  checkHead(size);
  const { T, H, G, d } = size;
  const [Q, Y] = [H * d, 2 * G * d];
  for (const [s, { capacity }] of caches.entries()) {
    const end = (starts[s] ?? 0) + (cuSeqlens[s + 1] ?? 0) - (cuSeqlens[s] ?? 0);
    if (end > capacity)
      throw new RangeError(`Cannot append to cache ${s}: it holds ${capacity} tokens, ${end} are needed`);
  }
  const o_TQ = runtime.array(T * Q, runtime.inner);
  runtime.as(runtime.inner, [qkv], (at = 0n) => {
    const keys = BigUint64Array.from(caches as readonly CudaCache[], ({ block }) => block.address);
    runtime.withData([keys, starts, cuSeqlens], (k, start, cu) => {
      const launch = { grid: [T], block: 128 } as const;
      runtime.run("attention", "append_to_caches", launch, [k, start, at, cu, caches.length, Q, Y]);
    });
    const attended = { o_TQ, lse_TH: undefined, qkv: at, keys, stride: Y, starts, cuSeqlens };
    const longest = Math.max(...caches.map(({ capacity }) => capacity));
    const parts = Math.ceil((size.window > 0 ? Math.min(size.window, longest) : longest) / PART_KEYS);
    if (parts > 1 && T * H < BUSY_WARPS * runtime.gpu.multiprocessors) attendInParts(runtime, attended, size, parts);
    else attend(runtime, attended, size, PART_KEYS);
  });
  return o_TQ;
}

interface Attended {
  readonly o_TQ: DeviceArray;
  readonly lse_TH: DeviceArray | undefined;
  readonly qkv: bigint;
  /** Where the keys of each sequence begin, `stride` numbers apart; values lie behind the keys of a token. */
  readonly keys: BigUint64Array;
  readonly stride: number;
  readonly starts: Int32Array;
  readonly cuSeqlens: Int32Array;
}

/** @param part keys are summed up at a time. */
function attend(
  runtime: Runtime,
  { o_TQ, lse_TH, qkv, keys, stride, starts, cuSeqlens }: Attended,
  size: AttentionSize,
  part: number,
): void {
  const { T, H, G, d, cap = 0, window } = size;
  runtime.withData([keys, starts, cuSeqlens], (k, start, cu) => {
    const out = [runtime.at(o_TQ), lse_TH && runtime.at(lse_TH)];
    const rows = [qkv, widthOf(size), k, stride, G * d, start, cu, keys.length];
    runtime.run("attention", "attend", warps(T * H), [...out, ...rows, T, H, G, d, window, scaleOf(size), cap, part]);
  });
}

/** The same with a warp for each part of at most `count`: their number is that of the caches' room, so that it stays while texts grow. */
function attendInParts(
  runtime: Runtime,
  { o_TQ, qkv, keys, stride, starts, cuSeqlens }: Attended,
  size: AttentionSize,
  count: number,
): void {
  const { T, H, G, d, cap = 0, window } = size;
  const parts = runtime.array(T * H * count * (d + 2));
  const at = runtime.at(parts);
  runtime.withData([keys, starts, cuSeqlens], (k, start, cu) => {
    const rows = [qkv, widthOf(size), k, stride, G * d, start, cu, keys.length];
    const heads = [T, H, G, d, window, scaleOf(size), cap, PART_KEYS, count];
    runtime.run("attention", "attend_parts", warps(T * H * count), [at, ...rows, ...heads]);
    const merged = [runtime.at(o_TQ), at, start, cu, keys.length, T, H, d, window, PART_KEYS, count];
    runtime.run("attention", "merge_parts", warps(T * H), merged);
  });
  runtime.free(parts);
}
