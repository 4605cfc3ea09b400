/** The GPU's memory as an engine uses it: blocks of its own, and those of noted work, which lie apart. */

import { type Block, createIsolatedMemory, createMemory, type Memory } from "./device_memory.ts";
import type { Gpu } from "./gpu.ts";
import { type MemoryPlan, outOfMemory } from "./memory_plan.ts";

export interface Blocks {
  /** Takes a block; throws an `InputError` if the GPU has none left. */
  block(bytes: number): Block;
  /** Takes a block that lies where noted work never does. */
  hold(bytes: number): Block;
  give(block: Block): void;
  /** Gives what noted work may have read: it is enqueued now. */
  giveLate(): void;
  /** Lends blocks of these sizes for as long as `work` runs. */
  lend<T>(sizes: readonly number[], work: (blocks: readonly Block[]) => T): T;
  usage: Memory["usage"];
  close(): void;
}

export function createBlocks(
  gpu: Gpu,
  isNoting: () => boolean,
  { debug, plan }: { debug: boolean; plan: MemoryPlan | undefined },
): Blocks {
  const source = {
    take(bytes: number) {
      const out = new BigUint64Array(8);
      return gpu.driver.calls.cuMemAlloc_v2(out, BigInt(bytes)) === 0 ? out[0] : undefined;
    },
    give: (address: bigint) => gpu.call("free memory", "cuMemFree_v2", address),
  };
  // Blocks of noted work lie apart: they have the same places each time, even if other blocks come and go.
  const create = debug ? createIsolatedMemory : createMemory;
  const [memory, notedMemory] = [create(source), create(source)];
  const late: Block[] = [];

  function usage(): ReturnType<Memory["usage"]> {
    const [own, noted] = [memory.usage(), notedMemory.usage()];
    return { used: own.used + noted.used, peak: own.peak + noted.peak, held: own.held + noted.held };
  }
  function take(bytes: number, from: Memory): Block {
    const taken = from.take(bytes);
    if (!taken) throw outOfMemory(gpu, bytes, usage(), plan);
    // NaN in everything that a kernel might read before it is written.
    if (debug) gpu.call("mark memory", "cuMemsetD8Async", taken.address, 0xff, BigInt(taken.bytes), gpu.stream);
    return taken;
  }
  const block = (bytes: number) => take(bytes, isNoting() ? notedMemory : memory);
  function give(own: Block): void {
    if (notedMemory.owns(own)) notedMemory.give(own);
    // What is noted may still read it, so it is nobody else's before that is enqueued.
    else if (isNoting()) late.push(own);
    else memory.give(own);
  }
  return {
    block,
    hold: (bytes) => take(bytes, memory),
    give,
    giveLate() {
      for (const own of late.splice(0)) memory.give(own);
    },
    lend(sizes, work) {
      const blocks: Block[] = [];
      try {
        for (const bytes of sizes) blocks.push(block(bytes));
        return work(blocks);
      } finally {
        for (const own of blocks) give(own);
      }
    },
    usage,
    close() {
      for (const own of [memory, notedMemory]) own.close();
    },
  };
}
