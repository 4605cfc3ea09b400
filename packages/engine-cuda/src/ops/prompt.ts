/**
 * Attention to the adapter's prompts: within the flash kernels where those are for such sizes, else by itself: scores, softmax,
 * gate and sum are one kernel then, its reductions over tokens go by splits.
 */
import type { AttentionSize, DeviceArray, Engine, RowRange } from "@zerogate/core";
import { elementwise, type Runtime } from "../runtime.ts";
import { flashForward, flashPromptsBackward, isFlash } from "./flash.ts";

const [WARPS, SLOTS] = [4, 16];
/** Tokens that one block of the reduction adds up. */
const SPAN = 128;

type PromptSize = AttentionSize & { K: number };

const launchOf = ({ T, H, K }: PromptSize) =>
  ({ grid: [Math.ceil((T * H) / WARPS)], block: 32 * WARPS, shared: 4 * WARPS * K }) as const;

/** Tokens that get the prompts. Throws a RangeError where the pass has not so many. */
function tokensOf({ T, tokens: [from, to] = [0, T] }: Parameters<Engine["promptAttention"]>[2]): RowRange {
  if (!(from >= 0 && from <= to && to <= T)) {
    throw new RangeError(`Cannot attend to prompts: tokens ${from} to ${to} are asked for, the pass has ${T}`);
  }
  return [from, to];
}

type Prompted = NonNullable<Engine["promptedAttention"]>;
export function promptedAttention(
  runtime: Runtime,
  { qkv_TX, ...prompts }: Parameters<Prompted>[0],
  cuSeqlens: Int32Array,
  size: Parameters<Prompted>[2],
): ReturnType<Prompted> {
  if (!isFlash(runtime, size)) return undefined;
  return flashForward(runtime, qkv_TX, cuSeqlens, size, { ...prompts, K: size.K }, tokensOf(size));
}

type PromptedBackward = NonNullable<Engine["promptedAttentionBackward"]>;
export function promptedAttentionBackward(
  runtime: Runtime,
  { kv_KY, gate_H, ...input }: Parameters<PromptedBackward>[0],
  cuSeqlens: Int32Array,
  { withInput, ...size }: Parameters<PromptedBackward>[2],
): ReturnType<PromptedBackward> {
  return flashPromptsBackward(runtime, input, cuSeqlens, size, { kv_KY, gate_H, K: size.K }, withInput);
}

export function promptAttention(
  runtime: Runtime,
  o: DeviceArray,
  { qkv_TX, kv_KY, gate_H }: Parameters<Engine["promptAttention"]>[1],
  size: Parameters<Engine["promptAttention"]>[2],
): DeviceArray {
  const { T, H, G, d, K } = size;
  const [from, to] = tokensOf(size);
  const type = runtime.typeOf(o);
  const y = runtime.array(o.length, type);
  runtime.as(runtime.inner, [qkv_TX, kv_KY], (qkv, kv) =>
    runtime.withData([gate_H], (gate) => {
      const args = [runtime.at(y), runtime.at(o), qkv, kv, gate, T, H, G, d, K, from, to, 1 / Math.sqrt(d)];
      runtime.run("prompt", `prompt_attention_${type}`, launchOf(size), args);
    }),
  );
  return y;
}

export function promptAttentionBackward(
  runtime: Runtime,
  { do_TQ, qkv_TX, kv_KY, gate_H, dqkv_TX }: Parameters<Engine["promptAttentionBackward"]>[0],
  size: PromptSize,
): ReturnType<Engine["promptAttentionBackward"]> {
  const { T, H, G, d, K } = size;
  const splits = Math.ceil(T / SPAN);
  const dkv_KY = runtime.array(kv_KY.length);
  const dgate_H = runtime.array(H);
  const [ds, weight, rho] = [runtime.array(T * H * K), runtime.array(T * H * K), runtime.array(T * H)];
  const [dkvParts, dgateParts] = [runtime.array(splits * kv_KY.length), runtime.array(splits * H)];
  const at = (array: DeviceArray) => runtime.at(array);
  runtime.as(runtime.inner, [do_TQ, qkv_TX, kv_KY], (dO, qkv, kv) => {
    runtime.withData([gate_H], (gate) => {
      const args = [
        dqkv_TX && at(dqkv_TX),
        at(ds),
        at(weight),
        at(rho),
        dO,
        qkv,
        kv,
        gate,
        T,
        H,
        G,
        d,
        K,
        1 / Math.sqrt(d),
      ];
      const type = dqkv_TX ? runtime.typeOf(dqkv_TX) : runtime.inner;
      runtime.run("prompt", `prompt_backward_q_${type}`, launchOf(size), args);
    });
    const launch = { grid: [splits, G, Math.ceil(K / SLOTS)], block: Math.min(128, Math.ceil(d / 32) * 32) } as const;
    const args = [at(dkvParts), at(dgateParts), at(ds), at(weight), at(rho), dO, qkv, T, H, G, d, K, SPAN];
    runtime.run("prompt", "prompt_backward_kv", launch, args);
  });
  for (const [sum, parts] of [
    [dkv_KY, dkvParts],
    [dgate_H, dgateParts],
  ] as const) {
    runtime.run("prompt", "sum_splits", elementwise(sum.length), [at(sum), at(parts), splits, BigInt(sum.length)]);
  }
  runtime.free(ds, weight, rho, dkvParts, dgateParts);
  return { dkv_KY, dgate_H };
}
