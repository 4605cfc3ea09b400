/**
 * Codes of a few bits that lie row by row, the first of a byte in its lowest bits, with a scale for some rows and columns:
 *
 *   w[n, k] = (value[code] − zero[s]) · scale[s],   s = ⌊n / rows⌋ · groups + group[k]
 */
import type { Decode, TensorDecoder } from "../tensor_decoder.ts";

/** How codes and scales lie. */
export interface RowLayout {
  readonly columns: number;
  readonly bits: number;
  /** What each code stands for. */
  readonly values: Float32Array;
  /** The group of each column. */
  readonly group: Int32Array;
  readonly groups: number;
  /** Rows that share their scales. */
  readonly rows: number;
}

/** Scales and zero points by row and group. */
export interface RowScales {
  readonly scales: Float32Array;
  readonly zeros?: Float32Array | undefined;
}

/** Columns in groups of `size`, one behind the other. */
export const evenGroups = (columns: number, size: number): Int32Array =>
  Int32Array.from({ length: columns }, (_, k) => Math.floor(k / size));

/** Values of codes of this many bits: 0, 1, … less `offset`. */
export const codeValues = (bits: number, offset = 0): Float32Array =>
  Float32Array.from({ length: 2 ** bits }, (_, code) => code - offset);

/** Values of bytes that are signed. */
export const signedBytes: Float32Array = Float32Array.from({ length: 256 }, (_, byte) => (byte << 24) >> 24);

export function rowDecoder(name: string, layout: RowLayout, open: () => Promise<RowScales>): TensorDecoder {
  return {
    name,
    unitBytes: 1,
    unitNumbers: 8 / layout.bits,
    open: async () => decodeRows(layout, await open()),
  };
}

function decodeRows({ columns, bits, values, group, groups, rows }: RowLayout, { scales, zeros }: RowScales): Decode {
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  return (bytes, out, first) => {
    let [row, column] = [Math.floor(first / columns), first % columns];
    let base = Math.floor(row / rows) * groups;
    for (let i = 0; i < out.length; i++) {
      const value = values[(bytes[Math.floor(i / perByte)] >> (bits * (i % perByte))) & mask];
      const scale = base + group[column];
      out[i] = zeros ? (value - zeros[scale]) * scales[scale] : value * scales[scale];
      if (++column === columns) {
        column = 0;
        row++;
        base = Math.floor(row / rows) * groups;
      }
    }
  };
}
