/** Host data that kernels read: tables of a pass that all layers share are brought to the GPU once. */
import type { Blocks } from "./blocks.ts";
import type { Block } from "./device_memory.ts";
import type { Staging } from "./staging.ts";

export interface Brought {
  /** Brings data for the kernels that `work` enqueues. */
  withData<T>(values: readonly ArrayBufferView[], work: (...addresses: bigint[]) => T): T;
  /** Frees what an arena has brought. */
  forget(): void;
}

/** Largest buffer that is brought as a whole and kept for others who bring the same. */
const SMALL_BYTES = 16 << 10;

export function createBrought(blocks: Blocks, isNoting: () => boolean, staging: Pick<Staging, "upload">): Brought {
  // By their bytes: whoever changes a buffer brings other data.
  const kept = new Map<string, Block>();

  /** Returns the address of small data, or undefined of others. A graph copies its data itself, so those stay apart. */
  function keptAt({ buffer, byteOffset }: ArrayBufferView): bigint | undefined {
    if (isNoting() || buffer.byteLength > SMALL_BYTES || buffer.byteLength === 0) return undefined;
    const bytes = new Uint8Array(buffer);
    const key = Buffer.from(buffer as ArrayBuffer).toString("latin1");
    let block = kept.get(key);
    if (!block) {
      block = blocks.block(bytes.length);
      kept.set(key, block);
      staging.upload(block.address, bytes);
    }
    return block.address + BigInt(byteOffset);
  }

  return {
    withData(values, work) {
      const places = values.map(keptAt);
      const others = values.filter((_, i) => places[i] === undefined);
      return blocks.lend(
        others.map((view) => view.byteLength),
        (lent) => {
          for (const [i, { buffer, byteOffset, byteLength }] of others.entries()) {
            staging.upload(lent[i]?.address ?? 0n, new Uint8Array(buffer, byteOffset, byteLength));
          }
          const addresses = lent.map(({ address }) => address);
          return work(...places.map((place) => place ?? addresses.shift() ?? 0n));
        },
      );
    },
    forget() {
      for (const block of kept.values()) blocks.give(block);
      kept.clear();
    },
  };
}
