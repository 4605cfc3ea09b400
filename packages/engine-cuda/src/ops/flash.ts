/** Flash attention on the tensor cores, and in the same kernels what an adapter's prompts add: see kernels/flash.cuh. */
import type { AttentionSize, DeviceArray, PromptSet, PromptSetGradient } from "@zerogate/core/engine";
import type { Launch } from "../kernels.ts";
import { bytesOf, elementwise, type Runtime } from "../runtime.ts";
import { TILE_ROWS, type Tiles, tilesOf, writeSets } from "./tiles.ts";

/** Head dimensions whose kernels are compiled. */
const HEADS: readonly number[] = [64, 96, 128];
/** A tile's keys are as many; more prompts take the plain kernel. */
const MOST_PROMPTS = 64;

/** Whether the kernels are for such heads: scores under a soft cap take the plain ones. */
export function isFlash({ inner }: Runtime, { d, cap = 0 }: Pick<AttentionSize, "d" | "cap">): boolean {
  return inner === "bf16" && HEADS.includes(d) && cap === 0;
}

/** The tiles of a pass with these sets, or undefined if the kernels do not support the sets. */
export function flashTiles(cuSeqlens: Int32Array, sets: readonly PromptSet[]): Tiles | undefined {
  if (sets.some(({ rows: [first, end] }) => end - first > MOST_PROMPTS)) return undefined;
  const tiles = tilesOf(cuSeqlens, sets);
  return tiles.isMixed ? undefined : tiles;
}

const scaleOf = ({ d }: AttentionSize) => 1 / Math.sqrt(d);
const variantOf = ({ d }: AttentionSize) => [`HD=${d}`];

/** Threads of a tile: a warp of queries has 32 of its rows, one of keys 16. */
const [QUERY_THREADS, KEY_THREADS] = [TILE_ROWS, 2 * TILE_ROWS];

/** A block for each tile and head, with these tiles of a head in shared memory. */
function launchOf({ count }: Tiles, heads: number, block: number, tiles: number, { d }: AttentionSize): Launch {
  return { grid: [count, heads], block, shared: tiles * TILE_ROWS * (d + 8) * 2 };
}

/** `y_TQ` has in it what the prompts of the sets add. */
export function flashForward(
  runtime: Runtime,
  qkv_TX: DeviceArray,
  tiles: Tiles,
  size: AttentionSize,
  sets: readonly PromptSet[] = [],
): { y_TQ: DeviceArray; lse_TH: DeviceArray } {
  const { T, H, G, d, window } = size;
  const y_TQ = runtime.array(T * H * d, runtime.inner);
  const lse_TH = runtime.array(T * H);
  withInputs(runtime, tiles, { sets, size }, [qkv_TX], ([qkv], tilesAt, { table, only }) => {
    const args = [runtime.at(y_TQ), runtime.at(lse_TH), qkv, tilesAt, H, G, window, scaleOf(size), table, ...only];
    runtime.run("flash", "flash_forward", launchOf(tiles, H, QUERY_THREADS, 3, size), args, variantOf(size));
  });
  return { y_TQ, lse_TH };
}

interface FlashInput {
  readonly do_TQ: DeviceArray;
  readonly qkv_TX: DeviceArray;
  /** Of forward with the same sets. */
  readonly y_TQ: DeviceArray;
  readonly lse_TH: DeviceArray;
}

export function flashBackward(runtime: Runtime, input: FlashInput, tiles: Tiles, size: AttentionSize): DeviceArray {
  const dqkv_TX = runtime.array(input.qkv_TX.length, runtime.inner);
  backward(runtime, input, tiles, size, { dqkv_TX, sets: [], sums: [] });
  return dqkv_TX;
}

/** Sums of a set: every tile has its own, a head of a group too; added up in their order, without atomics. */
interface SetSums {
  readonly dkvParts: DeviceArray;
  readonly dgateParts: DeviceArray;
}

/** @param withInput whether the gradient of `qkv_TX` is made too: in the lowest adapted layer nobody needs it. */
export function flashPromptsBackward(
  runtime: Runtime,
  input: FlashInput,
  tiles: Tiles,
  size: AttentionSize,
  sets: readonly PromptSet[],
  withInput: boolean,
): { dqkv_TX: DeviceArray | undefined; prompts: readonly PromptSetGradient[] } {
  const { H, G, d } = size;
  const dqkv_TX = withInput ? runtime.array(input.qkv_TX.length, runtime.inner) : undefined;
  const lengths = sets.map(({ rows: [first, end] }) => (end - first) * 2 * G * d);
  const sums = sets.map((_, s): SetSums => {
    const own = tiles.ofSet[s] ?? 0;
    return {
      dkvParts: runtime.array(Math.max(1, ((own * H) / G) * (lengths[s] ?? 0))),
      dgateParts: runtime.array(Math.max(1, own * H)),
    };
  });
  backward(runtime, input, tiles, size, { dqkv_TX, sets, sums });
  const added = (parts: DeviceArray, count: number, length: number) => {
    const sum = runtime.array(length);
    const args = [runtime.at(sum), runtime.at(parts), count, BigInt(length)];
    runtime.run("prompt", "sum_splits", elementwise(length), args);
    runtime.free(parts);
    return sum;
  };
  const prompts = sums.map(({ dkvParts, dgateParts }, s) => {
    const own = tiles.ofSet[s] ?? 0;
    return { dkv_KY: added(dkvParts, (own * H) / G, lengths[s] ?? 0), dgate_H: added(dgateParts, own, H) };
  });
  return { dqkv_TX, prompts };
}

function backward(
  runtime: Runtime,
  { do_TQ, qkv_TX, y_TQ, lse_TH }: FlashInput,
  tiles: Tiles,
  size: AttentionSize,
  { dqkv_TX, sets, sums }: { dqkv_TX: DeviceArray | undefined; sets: readonly PromptSet[]; sums: readonly SetSums[] },
): void {
  const { T, H, G, window } = size;
  const delta = runtime.array(T * H);
  withInputs(
    runtime,
    tiles,
    { sets, size, sums },
    [do_TQ, qkv_TX, y_TQ],
    ([dO, qkv, y], tilesAt, { table, only, sumsOfOnly }) => {
      const [variant, scale, lse] = [variantOf(size), scaleOf(size), runtime.at(lse_TH)];
      const out = [dqkv_TX && runtime.at(dqkv_TX), runtime.at(delta)];
      const args = [...out, dO, qkv, y, lse, tilesAt, H, G, window, scale, table, ...only, ...sumsOfOnly];
      runtime.run("flash_backward", "flash_backward_q", launchOf(tiles, H, QUERY_THREADS, 4, size), args, variant);
      if (!dqkv_TX) return;
      const ofKeys = [...out, dO, qkv, lse, tilesAt, H, G, window, scale];
      const launch = launchOf(tiles, G, KEY_THREADS, 4, size);
      runtime.run("flash_backward", "flash_backward_kv", launch, ofKeys, variant);
    },
  );
  runtime.free(delta);
}

/** The sets as the kernels take them: a table of several, or the only one's arguments. */
interface SetArguments {
  readonly table: bigint | undefined;
  readonly only: readonly [kv: bigint | undefined, gate: bigint | undefined, K: number, from: number, to: number];
  readonly sumsOfOnly: readonly [dkv: bigint | undefined, dgate: bigint | undefined];
}
const NO_SETS: SetArguments = {
  table: undefined,
  only: [undefined, undefined, 0, 0, 0],
  sumsOfOnly: [undefined, undefined],
};

/** Addresses of inner numbers, of the tiles, and what the kernels take of the sets. */
function withInputs(
  runtime: Runtime,
  tiles: Tiles,
  { sets, size: { G, d }, sums = [] }: { sets: readonly PromptSet[]; size: AttentionSize; sums?: readonly SetSums[] },
  arrays: readonly DeviceArray[],
  work: (at: (bigint | undefined)[], tilesAt: bigint, sets: SetArguments) => void,
): void {
  const { inner } = runtime;
  runtime.as(inner, [...sets.map(({ kv_RY }) => kv_RY), ...arrays], (...addresses) => {
    const at = addresses.slice(sets.length);
    return runtime.withData([tiles.table, ...sets.map(({ gate_H }) => gate_H)], (tilesAt = 0n, ...gatesAt) => {
      const entries = sets.map(({ rows: [first, end], tokens: [from, to] }, s) => ({
        kv: (addresses[s] ?? 0n) + BigInt(first * 2 * G * d * bytesOf[inner]),
        gate: gatesAt[s] ?? 0n,
        dkv: sums[s] && runtime.at(sums[s].dkvParts),
        dgate: sums[s] && runtime.at(sums[s].dgateParts),
        K: end - first,
        from,
        to,
      }));
      const [only, second] = entries;
      if (!only) return work(at, tilesAt, NO_SETS);
      if (second) return runtime.withData([writeSets(entries)], (table) => work(at, tilesAt, { ...NO_SETS, table }));
      const { kv, gate, K, from, to, dkv, dgate } = only;
      return work(at, tilesAt, { table: undefined, only: [kv, gate, K, from, to], sumsOfOnly: [dkv, dgate] });
    });
  });
}
