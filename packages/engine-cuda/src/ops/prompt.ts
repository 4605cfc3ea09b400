/**
 * Attention to the adapter's prompts: within the flash kernels if those are for such sizes, else by itself: scores, softmax,
 * gate and sum are one kernel then, its reductions over tokens go by splits.
 */
import {
  type AttentionSize,
  checkPromptSets,
  type DeviceArray,
  type Engine,
  type PromptSet,
  type PromptSetGradient,
} from "@zerogate/core/engine";
import type { Launch } from "../kernels.ts";
import { bytesOf, elementwise, type Runtime } from "../runtime.ts";
import { flashForward, flashPromptsBackward, flashTiles, isFlash } from "./flash.ts";

const [WARPS, SLOTS] = [4, 16];
/** Tokens that one block of the reduction adds up. */
const SPAN = 128;

type Prompted = NonNullable<Engine["promptedAttention"]>;
export function promptedAttention(
  runtime: Runtime,
  { qkv_TX, sets }: Parameters<Prompted>[0],
  cuSeqlens: Int32Array,
  size: AttentionSize,
): ReturnType<Prompted> {
  checkPromptSets("promptedAttention", sets, size);
  const tiles = isFlash(runtime, size) ? flashTiles(cuSeqlens, sets) : undefined;
  return tiles && flashForward(runtime, qkv_TX, tiles, size, sets);
}

type PromptedBackward = NonNullable<Engine["promptedAttentionBackward"]>;
export function promptedAttentionBackward(
  runtime: Runtime,
  { sets, ...input }: Parameters<PromptedBackward>[0],
  cuSeqlens: Int32Array,
  { withInput, ...size }: Parameters<PromptedBackward>[2],
): ReturnType<PromptedBackward> {
  const tiles = flashTiles(cuSeqlens, sets);
  if (!tiles) throw new RangeError("Cannot run promptedAttentionBackward: its sets are not those of a forward");
  return flashPromptsBackward(runtime, input, tiles, size, sets, withInput);
}

/** What the kernels of one set take: its tokens, and where its keys, values and numbers of those tokens lie. */
interface SetLaunch {
  readonly T: number;
  readonly K: number;
  readonly launch: Launch;
  /** Address of the first token of the set in an array of `width` numbers a token. */
  readonly token: (address: bigint, width: number, bytes: number) => bigint;
  readonly kv: bigint;
  readonly gate: bigint;
}

/** Runs `work` for every set that has tokens. */
function withSets(
  runtime: Runtime,
  sets: readonly PromptSet[],
  { H, G, d }: AttentionSize,
  work: (set: SetLaunch, index: number) => void,
): void {
  for (const [
    index,
    {
      kv_RY,
      rows: [first, end],
      tokens: [from, to],
      gate_H,
    },
  ] of sets.entries()) {
    if (from === to) continue;
    const [T, K] = [to - from, end - first];
    runtime.as(runtime.inner, [kv_RY], (kvs = 0n) =>
      runtime.withData([gate_H], (gate = 0n) => {
        const kv = kvs + BigInt(first * 2 * G * d * bytesOf[runtime.inner]);
        const token = (address: bigint, width: number, bytes: number) => address + BigInt(from * width * bytes);
        const launch = { grid: [Math.ceil((T * H) / WARPS)], block: 32 * WARPS, shared: 4 * WARPS * K } as const;
        work({ T, K, launch, token, kv, gate }, index);
      }),
    );
  }
}

export function promptAttention(
  runtime: Runtime,
  o: DeviceArray,
  { qkv_TX, sets }: Parameters<Engine["promptAttention"]>[1],
  size: AttentionSize,
): DeviceArray {
  checkPromptSets("promptAttention", sets, size);
  const { H, G, d, cap = 0 } = size;
  const type = runtime.typeOf(o);
  const y = runtime.array(o.length, type);
  runtime.convert(runtime.at(y), type, runtime.at(o), type, o.length);
  runtime.as(runtime.inner, [qkv_TX], (qkv = 0n) =>
    withSets(runtime, sets, size, ({ T, K, launch, token, kv, gate }) => {
      const own = [token(runtime.at(y), H * d, bytesOf[type]), token(qkv, (H + 2 * G) * d, bytesOf[runtime.inner])];
      runtime.run("prompt", `prompt_attention_${type}`, launch, [
        ...own,
        kv,
        gate,
        T,
        H,
        G,
        d,
        K,
        1 / Math.sqrt(d),
        cap,
      ]);
    }),
  );
  return y;
}

export function promptAttentionBackward(
  runtime: Runtime,
  { do_TQ, qkv_TX, sets, dqkv_TX }: Parameters<Engine["promptAttentionBackward"]>[0],
  size: AttentionSize,
): readonly PromptSetGradient[] {
  checkPromptSets("promptAttentionBackward", sets, size);
  const { H, G, d, cap = 0 } = size;
  const X = (H + 2 * G) * d;
  const gradients = sets.map(({ rows: [first, end], tokens: [from, to] }) => {
    const own = { dkv_KY: runtime.array((end - first) * 2 * G * d), dgate_H: runtime.array(H) };
    if (from === to) for (const array of [own.dkv_KY, own.dgate_H]) runtime.clear(runtime.at(array), 4 * array.length);
    return own;
  });
  const type = dqkv_TX ? runtime.typeOf(dqkv_TX) : runtime.inner;
  runtime.as(runtime.inner, [do_TQ, qkv_TX], (dO = 0n, qkv = 0n) =>
    withSets(runtime, sets, size, ({ T, K, launch, token, kv, gate }, index) => {
      const gradient = gradients[index];
      if (!gradient) return;
      const [ownDo, ownQkv] = [token(dO, H * d, bytesOf[runtime.inner]), token(qkv, X, bytesOf[runtime.inner])];
      const [ds, weight, rho] = [runtime.array(T * H * K), runtime.array(T * H * K), runtime.array(T * H)];
      const scores = [ds, weight, rho].map((array) => runtime.at(array));
      const dq = dqkv_TX && token(runtime.at(dqkv_TX), X, bytesOf[type]);
      const args = [dq, ...scores, ownDo, ownQkv, kv, gate, T, H, G, d, K, 1 / Math.sqrt(d), cap];
      runtime.run("prompt", `prompt_backward_q_${type}`, launch, args);
      sumTokens(runtime, gradient, [...scores, ownDo, ownQkv], { ...size, T, K });
      runtime.free(ds, weight, rho);
    }),
  );
  return gradients;
}

/** Reductions over the tokens of a set, by splits that begin at its first token. */
function sumTokens(
  runtime: Runtime,
  { dkv_KY, dgate_H }: PromptSetGradient,
  inputs: readonly bigint[],
  { T, H, G, d, K }: AttentionSize & { K: number },
): void {
  const splits = Math.ceil(T / SPAN);
  const [dkvParts, dgateParts] = [runtime.array(splits * dkv_KY.length), runtime.array(splits * H)];
  const launch = { grid: [splits, G, Math.ceil(K / SLOTS)], block: Math.min(128, Math.ceil(d / 32) * 32) } as const;
  const args = [runtime.at(dkvParts), runtime.at(dgateParts), ...inputs, T, H, G, d, K, SPAN];
  runtime.run("prompt", "prompt_backward_kv", launch, args);
  for (const [sum, parts] of [
    [dkv_KY, dkvParts],
    [dgate_H, dgateParts],
  ] as const) {
    const sums = [runtime.at(sum), runtime.at(parts), splits, BigInt(sum.length)];
    runtime.run("prompt", "sum_splits", elementwise(sum.length), sums);
  }
  runtime.free(dkvParts, dgateParts);
}
