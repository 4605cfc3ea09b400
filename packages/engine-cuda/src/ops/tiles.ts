/** What a block of the flash kernels works on: tables that `Tile` and `Set` of kernels/flash.cuh read. */
import type { PromptSet } from "@zerogate/core/engine";

/** Rows of a tile; it never has rows of two sequences. */
export const TILE_ROWS = 64;

export interface Tiles {
  /** Of every tile: begin and length of its sequence, its first row in it, its set (−1: none), tiles of that set before it. */
  readonly table: Int32Array;
  readonly count: number;
  /** Tiles of each set. */
  readonly ofSet: readonly number[];
  /** Whether a tile has tokens of two sets, which the kernels do not support. */
  readonly isMixed: boolean;
}

/** Tiles of the offsets and sets of the last passes: every layer asks for the same. */
const known = new WeakMap<Int32Array, Map<string, Tiles>>();

/** Returns all tiles of the sequences. */
export function tilesOf(cuSeqlens: Int32Array, sets: readonly PromptSet[] = []): Tiles {
  const ofPass = known.get(cuSeqlens) ?? new Map<string, Tiles>();
  known.set(cuSeqlens, ofPass);
  const key = [cuSeqlens.join(), ...sets.map(({ tokens }) => tokens.join())].join(" ");
  const tiles = ofPass.get(key) ?? cut(cuSeqlens, sets);
  ofPass.set(key, tiles);
  return tiles;
}

function cut(cuSeqlens: Int32Array, sets: readonly PromptSet[]): Tiles {
  const table: number[] = [];
  const ofSet = sets.map(() => 0);
  let isMixed = false;
  for (let s = 1; s < cuSeqlens.length; s++) {
    const [begin = 0, end = 0] = cuSeqlens.subarray(s - 1, s + 1);
    for (let row = 0; row < end - begin; row += TILE_ROWS) {
      const [first, behind] = [begin + row, Math.min(end, begin + row + TILE_ROWS)];
      const own = sets.flatMap(({ tokens: [from, to] }, n) => (from < behind && to > first && from < to ? [n] : []));
      isMixed ||= own.length > 1;
      const [set = -1] = own;
      table.push(begin, end - begin, row, set, set === -1 ? 0 : (ofSet[set] ?? 0));
      if (set !== -1) ofSet[set] = (ofSet[set] ?? 0) + 1;
    }
  }
  return { table: Int32Array.from(table), count: table.length / 5, ofSet, isMixed };
}

interface SetEntry {
  readonly kv: bigint;
  readonly gate: bigint;
  readonly dkv: bigint | undefined;
  readonly dgate: bigint | undefined;
  readonly K: number;
  readonly from: number;
  readonly to: number;
}

const ENTRY_BYTES = 48;

/** The table of sets as the device reads it. */
export function writeSets(entries: readonly SetEntry[]): Uint8Array {
  const bytes = new Uint8Array(ENTRY_BYTES * entries.length);
  const view = new DataView(bytes.buffer);
  for (const [s, { kv, gate, dkv = 0n, dgate = 0n, K, from, to }] of entries.entries()) {
    for (const [i, address] of [kv, gate, dkv, dgate].entries())
      view.setBigUint64(ENTRY_BYTES * s + 8 * i, address, true);
    for (const [i, number] of [K, from, to].entries()) view.setInt32(ENTRY_BYTES * s + 32 + 4 * i, number, true);
  }
  return bytes;
}
