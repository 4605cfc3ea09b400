/**
 * Device memory: slabs taken from the driver and cut into blocks, best fit. A training step asks for the same blocks in the
 * same order again and again, so after the first cell nothing is taken from the driver, and every block has its place.
 */

/** A piece of device memory. */
export interface Block {
  readonly address: bigint;
  /** Rounded up to whole units. */
  readonly bytes: number;
  readonly slab: Slab;
}

interface Slab {
  readonly address: bigint;
  readonly bytes: number;
  /** Offsets and sizes of what is free, by offset; no two touch. */
  free: { offset: number; bytes: number }[];
}

export interface MemorySource {
  /** Allocates this many bytes and returns their address, or undefined if the device has no room. */
  take(bytes: number): bigint | undefined;
  give(address: bigint): void;
}

export interface Memory {
  /** Undefined if the device has no room for them. */
  take(bytes: number): Block | undefined;
  give(block: Block): void;
  /** Whether a block is of here. */
  owns(block: Block): boolean;
  /** Bytes in blocks: now, and at most so far; and bytes in slabs. */
  usage(): { readonly used: number; readonly peak: number; readonly held: number };
  /** Gives all slabs back, with all that is in them. */
  close(): void;
}

/** Alignment of every block: what cuBLASLt's fastest kernels ask for, twice. */
const UNIT = 512;
/** Smallest slab. */
const SLAB = 16 << 20;

export function createMemory(source: MemorySource): Memory {
  const slabs: Slab[] = [];
  let [used, peak, held] = [0, 0, 0];

  function cut(slab: Slab, at: number, bytes: number): Block {
    const room = slab.free[at] as Slab["free"][number];
    const { offset } = room;
    if (room.bytes === bytes) slab.free.splice(at, 1);
    else slab.free[at] = { offset: offset + bytes, bytes: room.bytes - bytes };
    used += bytes;
    peak = Math.max(peak, used);
    return { address: slab.address + BigInt(offset), bytes, slab };
  }

  function grow(bytes: number): Slab | undefined {
    // Slabs grow with what is held, so that their number stays small; if that is too much, what is needed will do.
    for (const wanted of [Math.max(bytes, SLAB, units(held / 4)), bytes]) {
      const address = source.take(wanted);
      if (address === undefined) continue;
      const slab = { address, bytes: wanted, free: [{ offset: 0, bytes: wanted }] };
      slabs.push(slab);
      held += wanted;
      return slab;
    }
    return undefined;
  }

  return {
    take(asked) {
      const bytes = units(Math.max(asked, 1));
      let [best, place, slack]: [Slab | undefined, number, number] = [undefined, 0, Number.POSITIVE_INFINITY];
      for (const slab of slabs) {
        for (const [i, room] of slab.free.entries()) {
          const over = room.bytes - bytes;
          if (over === 0) return cut(slab, i, bytes); // as most are: work comes again with the same sizes
          if (over > 0 && over < slack) [best, place, slack] = [slab, i, over];
        }
      }
      if (best) return cut(best, place, bytes);
      const slab = grow(bytes);
      return slab && cut(slab, 0, bytes);
    },
    give({ address, bytes, slab }) {
      const { free } = slab;
      const offset = Number(address - slab.address);
      let at = free.findIndex((room) => room.offset > offset);
      if (at < 0) at = free.length;
      free.splice(at, 0, { offset, bytes });
      joinAt(free, at);
      joinAt(free, at - 1);
      used -= bytes;
    },
    owns: ({ slab }) => slabs.includes(slab),
    usage: () => ({ used, peak, held }),
    close() {
      for (const { address } of slabs.splice(0)) source.give(address);
      [used, held] = [0, 0];
    },
  };
}

/** Takes each block from the driver by itself, so that a memory checker sees where it ends: slower by far. */
export function createIsolatedMemory(source: MemorySource): Memory {
  const slabs = new Set<Slab>();
  let [used, peak] = [0, 0];
  return {
    take(asked) {
      const bytes = Math.max(asked, 1);
      const address = source.take(bytes);
      if (address === undefined) return undefined;
      const slab = { address, bytes, free: [] };
      slabs.add(slab);
      used += bytes;
      peak = Math.max(peak, used);
      return { address, bytes, slab };
    },
    give({ slab }) {
      slabs.delete(slab);
      used -= slab.bytes;
      source.give(slab.address);
    },
    owns: ({ slab }) => slabs.has(slab),
    usage: () => ({ used, peak, held: used }),
    close() {
      for (const { address } of slabs) source.give(address);
      slabs.clear();
      used = 0;
    },
  };
}

const units = (bytes: number) => Math.ceil(bytes / UNIT) * UNIT;

/** Makes one of the free pieces `at` and the next if they touch. */
function joinAt(free: Slab["free"], at: number): void {
  const [one, next] = [free[at], free[at + 1]];
  if (one && next && one.offset + one.bytes === next.offset) {
    free.splice(at, 2, { offset: one.offset, bytes: one.bytes + next.bytes });
  }
}
