/**
 * What the blocks of GGUF's quantised types stand for, to the bit of `gguf.quants.dequantize` (Python package gguf 0.19) and of
 * `dequantize_row_*` in ggml-quants.c. d, m and dmin are float16, all else is float32: products of scales and small integers are
 * exact there, so one rounding is left, of the sum or difference, which the store to float32 does.
 *
 *   Q8_0, Q4_0, Q5_0   d · q                          32 numbers in a block
 *   Q4_1, Q5_1         d · q + m
 *   IQ4_NL             d · table[q]
 *   Q2_K, Q4_K, Q5_K   d · sc · q − dmin · mn         256 numbers; sc and mn of 16 or 32 of them
 *   Q3_K, Q6_K         d · sc · q
 *   IQ4_XS             d · sc · table[q]
 */
import { f16Number } from "./dtype.ts";

/** Writes the numbers of one block. */
type Block = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void;

const f16 = (bytes: Uint8Array, at: number): number => f16Number(bytes[at] | (bytes[at + 1] << 8));
const i8 = (byte: number): number => (byte << 24) >> 24;

/** Numbers that IQ4_NL and IQ4_XS have for a nibble (`kvalues_iq4nl`). */
const nonlinear = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

const q8_0: Block = (bytes, at, out, to) => {
  const d = f16(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = d * i8(bytes[at + 2 + i]);
};

/** Nibbles of the first half of a block are the low ones, those of the second half the high ones. */
const q4_0: Block = (bytes, at, out, to) => {
  const d = f16(bytes, at);
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 2 + i];
    out[to + i] = d * ((byte & 15) - 8);
    out[to + 16 + i] = d * ((byte >> 4) - 8);
  }
};

const q4_1: Block = (bytes, at, out, to) => {
  const [d, m] = [f16(bytes, at), f16(bytes, at + 2)];
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 4 + i];
    out[to + i] = d * (byte & 15) + m;
    out[to + 16 + i] = d * (byte >> 4) + m;
  }
};

/** Bit i of the word at `at` is the fifth bit of number i. */
const fifth = (bytes: Uint8Array, at: number): number =>
  bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);

const q5_0: Block = (bytes, at, out, to) => {
  const [d, high] = [f16(bytes, at), fifth(bytes, at + 2)];
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 6 + i];
    out[to + i] = d * (((byte & 15) | (((high >>> i) & 1) << 4)) - 16);
    out[to + 16 + i] = d * (((byte >> 4) | (((high >>> (i + 16)) & 1) << 4)) - 16);
  }
};

const q5_1: Block = (bytes, at, out, to) => {
  const [d, m, high] = [f16(bytes, at), f16(bytes, at + 2), fifth(bytes, at + 4)];
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 8 + i];
    out[to + i] = d * ((byte & 15) | (((high >>> i) & 1) << 4)) + m;
    out[to + 16 + i] = d * ((byte >> 4) | (((high >>> (i + 16)) & 1) << 4)) + m;
  }
};

const iq4_nl: Block = (bytes, at, out, to) => {
  const d = f16(bytes, at);
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 2 + i];
    out[to + i] = d * nonlinear[byte & 15];
    out[to + 16 + i] = d * nonlinear[byte >> 4];
  }
};

/** scales[16] (low nibble sc, high mn), qs[64], d, dmin; 16 numbers a scale, two bits each. */
const q2_k: Block = (bytes, at, out, to) => {
  const [d, dmin] = [f16(bytes, at + 80), f16(bytes, at + 82)];
  for (let group = 0; group < 16; group++) {
    const scale = bytes[at + group];
    const [dl, ml] = [d * (scale & 15), dmin * (scale >> 4)];
    const [quads, shift] = [at + 16 + 32 * (group >> 3) + 16 * (group & 1), 2 * ((group >> 1) & 3)];
    for (let i = 0; i < 16; i++) out[to + 16 * group + i] = dl * ((bytes[quads + i] >> shift) & 3) - ml;
  }
};

/** hmask[32], qs[64], scales[12] of six bits, d; a number is 4 less if its bit of hmask is 0. */
const q3_k: Block = (bytes, at, out, to) => {
  const d = f16(bytes, at + 108);
  const scales = at + 96;
  for (let group = 0; group < 16; group++) {
    const low = (bytes[scales + (group & 7)] >> (4 * (group >> 3))) & 15;
    const high = (bytes[scales + 8 + (group & 3)] >> (2 * (group >> 2))) & 3;
    const dl = d * ((low | (high << 4)) - 32);
    const [quads, shift] = [at + 32 + 32 * (group >> 3) + 16 * (group & 1), 2 * ((group >> 1) & 3)];
    const [mask, bit] = [at + 16 * (group & 1), group >> 1];
    for (let i = 0; i < 16; i++) {
      const missing = (bytes[mask + i] >> bit) & 1 ? 0 : 4;
      out[to + 16 * group + i] = dl * (((bytes[quads + i] >> shift) & 3) - missing);
    }
  }
};

/** Scale of group `group` of eight, and its minimum: six bits each in twelve bytes. */
function scaleOf(bytes: Uint8Array, at: number, group: number): [scale: number, minimum: number] {
  if (group < 4) return [bytes[at + group] & 63, bytes[at + group + 4] & 63];
  const both = bytes[at + group + 4];
  return [(both & 15) | ((bytes[at + group - 4] >> 6) << 4), (both >> 4) | ((bytes[at + group] >> 6) << 4)];
}

/** d, dmin, scales[12], qs[128]; 32 numbers a scale: groups 2p and 2p + 1 are the nibbles of the same bytes. */
const q4_k: Block = (bytes, at, out, to) => {
  const [d, dmin] = [f16(bytes, at), f16(bytes, at + 2)];
  for (let group = 0; group < 8; group++) {
    const [scale, minimum] = scaleOf(bytes, at + 4, group);
    const [dl, ml] = [d * scale, dmin * minimum];
    const [nibbles, shift] = [at + 16 + 32 * (group >> 1), 4 * (group & 1)];
    for (let i = 0; i < 32; i++) out[to + 32 * group + i] = dl * ((bytes[nibbles + i] >> shift) & 15) - ml;
  }
};

/** d, dmin, scales[12], qh[32], qs[128]: as Q4_K, with bit `group` of qh[i] above number i of each group. */
const q5_k: Block = (bytes, at, out, to) => {
  const [d, dmin] = [f16(bytes, at), f16(bytes, at + 2)];
  for (let group = 0; group < 8; group++) {
    const [scale, minimum] = scaleOf(bytes, at + 4, group);
    const [dl, ml] = [d * scale, dmin * minimum];
    const [nibbles, shift] = [at + 48 + 32 * (group >> 1), 4 * (group & 1)];
    for (let i = 0; i < 32; i++) {
      const q = ((bytes[nibbles + i] >> shift) & 15) | (((bytes[at + 16 + i] >> group) & 1) << 4);
      out[to + 32 * group + i] = dl * q - ml;
    }
  }
};

/** ql[128], qh[64], scales[16] of eight bits, d; in each half, 32 bytes of ql and of qh serve 64 and 128 numbers. */
const q6_k: Block = (bytes, at, out, to) => {
  const d = f16(bytes, at + 208);
  for (let group = 0; group < 16; group++) {
    const dl = d * i8(bytes[at + 192 + group]);
    const [half, part] = [group >> 3, (group >> 1) & 3]; // 16 numbers of part 0 … 3 of a half of 128
    const low = at + 64 * half + 32 * (part & 1) + 16 * (group & 1);
    const high = at + 128 + 32 * half + 16 * (group & 1);
    for (let i = 0; i < 16; i++) {
      const q = ((bytes[low + i] >> (4 * (part >> 1))) & 15) | (((bytes[high + i] >> (2 * part)) & 3) << 4);
      out[to + 16 * group + i] = dl * (q - 32);
    }
  }
};

/** d, scales_h (two bits a group), scales_l[4] (four bits a group), qs[128]; 32 numbers a scale, laid as in IQ4_NL. */
const iq4_xs: Block = (bytes, at, out, to) => {
  const d = f16(bytes, at);
  const highs = bytes[at + 2] | (bytes[at + 3] << 8);
  for (let group = 0; group < 8; group++) {
    const low = (bytes[at + 4 + (group >> 1)] >> (4 * (group & 1))) & 15;
    const dl = d * ((low | (((highs >> (2 * group)) & 3) << 4)) - 32);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + 8 + 16 * group + i];
      out[to + 32 * group + i] = dl * nonlinear[byte & 15];
      out[to + 32 * group + 16 + i] = dl * nonlinear[byte >> 4];
    }
  }
};

/** Blocks by the name of their type: numbers, bytes, and what writes them. */
export const ggufBlocks: Readonly<Record<string, { numbers: number; bytes: number; write: Block }>> = {
  Q4_0: { numbers: 32, bytes: 18, write: q4_0 },
  Q4_1: { numbers: 32, bytes: 20, write: q4_1 },
  Q5_0: { numbers: 32, bytes: 22, write: q5_0 },
  Q5_1: { numbers: 32, bytes: 24, write: q5_1 },
  Q8_0: { numbers: 32, bytes: 34, write: q8_0 },
  Q2_K: { numbers: 256, bytes: 84, write: q2_k },
  Q3_K: { numbers: 256, bytes: 110, write: q3_k },
  Q4_K: { numbers: 256, bytes: 144, write: q4_k },
  Q5_K: { numbers: 256, bytes: 176, write: q5_k },
  Q6_K: { numbers: 256, bytes: 210, write: q6_k },
  IQ4_NL: { numbers: 32, bytes: 18, write: iq4_nl },
  IQ4_XS: { numbers: 256, bytes: 136, write: iq4_xs },
};

/** Fills `out` with the numbers of the blocks in `bytes`. */
export function decodeBlocks(type: string, bytes: Uint8Array, out: Float32Array): void {
  const { numbers, bytes: size, write } = ggufBlocks[type];
  for (let to = 0, at = 0; to < out.length; to += numbers, at += size) write(bytes, at, out, to);
}
