/**
 * Codes of a few bits of a map that is stored `[in, out]`, with a scale and a zero point for each column of some rows:
 *
 *   w[n, k] = (code[k, n] − zero[g, n]) · scale[g, n],   g = group[k]
 *
 * In GPTQ a 32-bit word holds the codes of some rows of one column, in AWQ those of some columns of one row.
 */
import type { Decode, TensorDecoder } from "../tensor_decoder.ts";

/** How codes lie: code [k, n] begins with bit `shiftOf[k] + shiftFor[n]` of the word `wordOf[k] + wordFor[n]`. */
export interface ColumnLayout {
  readonly inputs: number;
  readonly outputs: number;
  readonly bits: number;
  readonly wordOf: Int32Array;
  readonly shiftOf: Int32Array;
  readonly wordFor: Int32Array;
  readonly shiftFor: Int32Array;
}

/** Scales and zero points `[groups, out]`, and the group of each input. */
export interface ColumnScales {
  readonly scales: Float32Array;
  readonly zeros: Float32Array;
  readonly group: Int32Array;
}

/** Decodes rows of the transpose, `[out, in]`. */
export function columnDecoder(name: string, layout: ColumnLayout, open: () => Promise<ColumnScales>): TensorDecoder {
  const { inputs, outputs, bits } = layout;
  return {
    name,
    unitBytes: (inputs * outputs * bits) / 8,
    unitNumbers: inputs * outputs,
    open: async () => decodeColumns(layout, await open()),
  };
}

function decodeColumns(layout: ColumnLayout, { scales, zeros, group }: ColumnScales): Decode {
  const { inputs, outputs, bits, wordOf, shiftOf, wordFor, shiftFor } = layout;
  const mask = 2 ** bits - 1;
  return (bytes, out, first) => {
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    const words = new Uint32Array(aligned.buffer, aligned.byteOffset, (inputs * outputs * bits) / 32);
    for (let i = 0; i < out.length; ) {
      const n = Math.floor((first + i) / inputs);
      const begin = (first + i) % inputs;
      const end = Math.min(inputs, begin + out.length - i);
      for (let k = begin; k < end; k++, i++) {
        const scale = group[k] * outputs + n;
        const code = (words[wordOf[k] + wordFor[n]] >>> (shiftOf[k] + shiftFor[n])) & mask;
        out[i] = (code - zeros[scale]) * scales[scale];
      }
    }
  };
}

/** Codes of 32-bit words, the first in the lowest bits. */
export function unpackWords(words: Int32Array, bits: number): Float32Array {
  const perWord = 32 / bits;
  const mask = 2 ** bits - 1;
  return Float32Array.from(
    { length: words.length * perWord },
    (_, i) => (words[Math.floor(i / perWord)] >>> (bits * (i % perWord))) & mask,
  );
}

/** The numbers `of` gives for 0 … length − 1. */
export const integers = (length: number, of: (i: number) => number): Int32Array =>
  Int32Array.from({ length }, (_, i) => of(i));
