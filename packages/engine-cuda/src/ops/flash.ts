/** Flash attention on the tensor cores, and in the same kernels what an adapter's prompts add: see kernels/flash.cuh. */
import type { AttentionSize, DeviceArray, RowRange } from "@zerogate/core";
import type { Launch } from "../kernels.ts";
import { elementwise, type Runtime } from "../runtime.ts";

/** Head dimensions whose kernels are compiled. */
const HEADS: readonly number[] = [64, 96, 128];
/** A tile's keys are as many; more prompts take the plain kernel. */
const MOST_PROMPTS = 64;
const [ROWS, FEW_ROWS] = [64, 32];

/** Prompts of one adapter in one layer, `kv_KY` in inner numbers. */
export interface FlashPrompts {
  readonly kv_KY: DeviceArray;
  readonly gate_H: Float32Array;
  readonly K: number;
}

/** Whether the kernels are for such heads, and so many prompts. */
export function isFlash({ inner }: Runtime, { d, K = 0 }: { d: number; K?: number }): boolean {
  return inner === "bf16" && HEADS.includes(d) && K <= MOST_PROMPTS;
}

/** Begin and length of its sequence and the first row in it, of every tile of ROWS rows; a tile never has rows of two sequences. */
function tilesOf(cuSeqlens: Int32Array): Int32Array {
  const tiles: number[] = [];
  for (let s = 1; s < cuSeqlens.length; s++) {
    const [begin = 0, end = 0] = cuSeqlens.subarray(s - 1, s + 1);
    for (let row = 0; row < end - begin; row += ROWS) tiles.push(begin, end - begin, row);
  }
  return Int32Array.from(tiles);
}

const countOf = (tiles: Int32Array) => tiles.length / 3;
const scaleOf = ({ d }: AttentionSize) => 1 / Math.sqrt(d);
const variantOf = ({ d }: AttentionSize) => [`HD=${d}`];

/** A block for each tile and head, with so many rows of a head in shared memory. */
function launchOf(tiles: Int32Array, heads: number, rows: number, { d }: AttentionSize): Launch {
  return { grid: [countOf(tiles), heads], block: 128, shared: rows * (d + 8) * 2 };
}

/** `y_TQ` has the prompts in it, where they are given; `tokens` are those that get them. */
export function flashForward(
  runtime: Runtime,
  qkv_TX: DeviceArray,
  cuSeqlens: Int32Array,
  size: AttentionSize,
  prompts?: FlashPrompts,
  [from, to]: RowRange = [0, size.T],
): { y_TQ: DeviceArray; lse_TH: DeviceArray } {
  const { T, H, G, d, window } = size;
  const y_TQ = runtime.array(T * H * d, runtime.inner);
  const lse_TH = runtime.array(T * H);
  const tiles = tilesOf(cuSeqlens);
  withInputs(runtime, tiles, prompts, [qkv_TX], ([qkv], tilesAt, kv, gate) => {
    const out = [runtime.at(y_TQ), runtime.at(lse_TH)];
    const sizes = [H, G, window, prompts?.K ?? 0, from, to, scaleOf(size)];
    const launch = launchOf(tiles, H, 5 * ROWS, size);
    runtime.run("flash", "flash_forward", launch, [...out, qkv, tilesAt, kv, gate, ...sizes], variantOf(size));
  });
  return { y_TQ, lse_TH };
}

interface FlashInput {
  readonly do_TQ: DeviceArray;
  readonly qkv_TX: DeviceArray;
  /** Of forward with the same prompts. */
  readonly y_TQ: DeviceArray;
  readonly lse_TH: DeviceArray;
}

export function flashBackward(
  runtime: Runtime,
  input: FlashInput,
  cuSeqlens: Int32Array,
  size: AttentionSize,
): DeviceArray {
  const dqkv_TX = runtime.array(input.qkv_TX.length, runtime.inner);
  backward(runtime, input, cuSeqlens, size, { dqkv_TX });
  return dqkv_TX;
}

/** @param withInput whether the gradient of `qkv_TX` is made too: in the lowest adapted layer nobody needs it. */
export function flashPromptsBackward(
  runtime: Runtime,
  input: FlashInput,
  cuSeqlens: Int32Array,
  size: AttentionSize,
  prompts: FlashPrompts,
  withInput: boolean,
): { dqkv_TX: DeviceArray | undefined; dkv_KY: DeviceArray; dgate_H: DeviceArray } {
  const { H, G } = size;
  const dqkv_TX = withInput ? runtime.array(input.qkv_TX.length, runtime.inner) : undefined;
  const dkv_KY = runtime.array(prompts.kv_KY.length);
  const dgate_H = runtime.array(H);
  // Every tile has its own sums, a head of a group too: added up in their order, without atomics.
  const tiles = countOf(tilesOf(cuSeqlens));
  const sums = [
    { sum: dkv_KY, count: (tiles * H) / G },
    { sum: dgate_H, count: tiles },
  ].map(({ sum, count }) => ({ sum, count, parts: runtime.array(count * sum.length) }));
  const [dkvParts, dgateParts] = sums.map(({ parts }) => parts);
  backward(runtime, input, cuSeqlens, size, { dqkv_TX, prompts, dkvParts, dgateParts });
  for (const { sum, count, parts } of sums) {
    const args = [runtime.at(sum), runtime.at(parts), count, BigInt(sum.length)];
    runtime.run("prompt", "sum_splits", elementwise(sum.length), args);
    runtime.free(parts);
  }
  return { dqkv_TX, dkv_KY, dgate_H };
}

function backward(
  runtime: Runtime,
  { do_TQ, qkv_TX, y_TQ, lse_TH }: FlashInput,
  cuSeqlens: Int32Array,
  size: AttentionSize,
  outputs: {
    dqkv_TX: DeviceArray | undefined;
    prompts?: FlashPrompts;
    dkvParts?: DeviceArray | undefined;
    dgateParts?: DeviceArray | undefined;
  },
): void {
  const { T, H, G, window } = size;
  const { prompts, dqkv_TX, dkvParts, dgateParts } = outputs;
  const at = (array: DeviceArray | undefined) => array && runtime.at(array);
  const delta = runtime.array(T * H);
  const tiles = tilesOf(cuSeqlens);
  withInputs(runtime, tiles, prompts, [do_TQ, qkv_TX, y_TQ], ([dO, qkv, y], tilesAt, kv, gate) => {
    const [variant, scale, lse] = [variantOf(size), scaleOf(size), runtime.at(lse_TH)];
    const out = [at(dqkv_TX), runtime.at(delta), at(dkvParts), at(dgateParts)];
    const sizes = [H, G, window, prompts?.K ?? 0, scale];
    const args = [...out, dO, qkv, y, lse, tilesAt, kv, gate, ...sizes];
    runtime.run("flash_backward", "flash_backward_q", launchOf(tiles, H, 4 * ROWS, size), args, variant);
    if (!dqkv_TX) return;
    const ofKeys = [at(dqkv_TX), runtime.at(delta), dO, qkv, lse, tilesAt, H, G, window, scale];
    runtime.run(
      "flash_backward",
      "flash_backward_kv",
      launchOf(tiles, G, 2 * ROWS + 2 * FEW_ROWS, size),
      ofKeys,
      variant,
    );
  });
  runtime.free(delta);
}

/** Addresses of inner numbers, of the tiles, and of the prompts' keys, values and gates where there are some. */
function withInputs(
  runtime: Runtime,
  tiles: Int32Array,
  prompts: FlashPrompts | undefined,
  arrays: readonly DeviceArray[],
  work: (at: (bigint | undefined)[], tilesAt: bigint, kv: bigint | undefined, gate: bigint | undefined) => void,
): void {
  runtime.as(runtime.inner, [prompts?.kv_KY, ...arrays], (kv, ...at) =>
    runtime.withData(prompts ? [tiles, prompts.gate_H] : [tiles], (tilesAt = 0n, gate) => work(at, tilesAt, kv, gate)),
  );
}
