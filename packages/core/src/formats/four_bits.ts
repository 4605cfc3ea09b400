/**
 * A weight `[rows, columns]` in four bits a number, in blocks along each row, each behind its own scale:
 *
 *   nf4:   64 numbers, scale float32 = max |w|;                              w ≈ scale · levels[q]   (arXiv:2305.14314, §3)
 *   int4:  32 numbers, scale float16 = −(w of the largest magnitude) / 8;    w ≈ scale · (q − 8)     (GGUF's Q4_0, byte by byte)
 *
 * Byte i of every 16 holds number i of 32 in its low four bits and number i + 16 in its high ones. A row ends with a whole block:
 * what lies behind its last number is stored as 0.
 */
import { InputError } from "../errors.ts";
import { f16FromF32, f32FromF16 } from "./dtype.ts";
import type { ScaledFormat } from "./scaled_format.ts";

/** The exponent in the high byte of a float16: all of its bits are set in what is not finite. */
const F16_EXPONENT = 0x7c;

/** Numbers whose codes share 16 bytes. */
const UNIT = 32;

/** The quantiles of a normal distribution that bitsandbytes takes, each a float32. */
const nf4Levels = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
);
/** One kind of block. */
interface BlockKind {
  readonly storage: ScaledFormat["storage"];
  readonly block: number;
  readonly scaleBytes: 2 | 4;
  /** What the codes stand for, times the scale. */
  readonly levels: Float32Array;
  /**
   * Sets the codes of the numbers `from` … `past`, of which `extreme` has the largest magnitude (the first of them), and returns
   * their scale as it is stored; not finite if there is none.
   */
  encode(codes: Uint8Array, values: Float32Array, from: number, past: number, extreme: number): number;
}

/** Borders between neighbours of nf4: what lies on one goes to the lower. */
const borders = Float64Array.from(
  nf4Levels,
  (level, i) => ((nf4Levels[i + 1] ?? Number.POSITIVE_INFINITY) + level) / 2,
);
const BINS = 128;
/** How many borders lie below each 128th from −1 to 1; between two of them lies at most one. */
const bordersBelow = Uint8Array.from({ length: 2 * BINS + 1 }, (_, bin) => {
  return borders.filter((border) => border < bin / BINS - 1).length;
});

const nf4Blocks: BlockKind = {
  storage: "nf4",
  block: 64,
  scaleBytes: 4,
  levels: nf4Levels,
  encode(codes, values, from, past, extreme) {
    const scale = Math.abs(extreme);
    for (let i = from, at = 0; i < past; i++, at++) {
      const x = scale === 0 ? 0 : values[i] / scale;
      const below = bordersBelow[Math.trunc((x + 1) * BINS)];
      codes[at] = x > borders[below] ? below + 1 : below;
    }
    return scale;
  },
};

const int4Blocks: BlockKind = {
  storage: "int4",
  block: 32,
  scaleBytes: 2,
  levels: Float32Array.from({ length: 16 }, (_, code) => code - 8),
  encode(codes, values, from, past, extreme) {
    const scale = roundToF16(extreme / -8) + 0; // no −0
    for (let i = from, at = 0; i < past; i++, at++) {
      // The scale is rounded, by much if it is tiny: what should be −8 or 7 may lie beyond.
      const code = scale === 0 ? 8 : Math.floor(values[i] / scale + 8.5);
      codes[at] = Math.max(0, Math.min(15, code));
    }
    return scale;
  },
};

export const nf4: ScaledFormat = formatOf(nf4Blocks);
export const int4: ScaledFormat = formatOf(int4Blocks);

function formatOf(kind: BlockKind): ScaledFormat {
  const { storage, block, scaleBytes } = kind;
  const blockBytes = scaleBytes + block / 2;
  const rowBytes = (columns: number) => Math.ceil(columns / block) * blockBytes;
  return {
    storage,
    rowBytes: (columns) => [rowBytes(columns)],
    quantize: (values, [plane], columns, name) => quantizeBlocks(kind, values, plane, columns, name),
    dequantize: (planes, columns, out) => dequantizeBlocks(kind, planes[0], columns, out),
  };
}

function quantizeBlocks(
  { storage, block, scaleBytes, levels, encode }: BlockKind,
  values: Float32Array,
  plane: Uint8Array,
  columns: number,
  name: string,
): void {
  const view = new DataView(plane.buffer, plane.byteOffset, plane.byteLength);
  const codes = new Uint8Array(block);
  const zero = levels.indexOf(0);
  let at = 0;
  for (let row = 0; row < values.length; row += columns) {
    for (let column = 0; column < columns; column += block) {
      const [from, past] = [row + column, row + Math.min(columns, column + block)];
      if (past - from < block) codes.fill(zero);
      const extreme = extremeOf(values, from, past);
      const scale = encode(codes, values, from, past, extreme);
      if (!Number.isFinite(scale)) throw noPlace(storage, name, extreme);
      if (scaleBytes === 4) view.setFloat32(at, scale, true);
      else view.setUint16(at, f16FromF32(bitsOf(scale)), true);
      at += scaleBytes;
      for (let unit = 0; unit < block; unit += UNIT) {
        for (let i = unit; i < unit + UNIT / 2; i++) plane[at++] = codes[i] | (codes[i + UNIT / 2] << 4);
      }
    }
  }
}

function dequantizeBlocks(
  { block, scaleBytes, levels }: BlockKind,
  plane: Uint8Array,
  columns: number,
  out: Float32Array,
): void {
  const view = new DataView(plane.buffer, plane.byteOffset, plane.byteLength);
  let at = 0;
  for (let row = 0; row < out.length; row += columns) {
    for (let column = 0; column < columns; column += block) {
      const scale = scaleBytes === 4 ? view.getFloat32(at, true) : floatOf(f32FromF16(view.getUint16(at, true)));
      at += scaleBytes;
      const count = Math.min(block, columns - column);
      for (let i = 0; i < count; i++) {
        const byte = plane[at + (i >> 5) * (UNIT / 2) + (i & 15)];
        out[row + column + i] = scale * levels[i & 16 ? byte >> 4 : byte & 15];
      }
      at += block / 2;
    }
  }
}

/** Looks through blocks of int4 that are not made here. @throws InputError if a scale is not finite, by the weight's name. */
export function checkInt4(blocks: Uint8Array, name: string): void {
  const bytes = int4Blocks.scaleBytes + int4Blocks.block / 2;
  for (let at = 0; at < blocks.length; at += bytes) {
    if ((blocks[at + 1] & F16_EXPONENT) === F16_EXPONENT) throw noPlace("int4", name, Number.NaN);
  }
}

/** The first number of the largest magnitude; NaN if there is one. */
function extremeOf(values: Float32Array, from: number, past: number): number {
  let largest = 0;
  let extreme = 0;
  for (let i = from; i < past; i++) {
    const magnitude = Math.abs(values[i]);
    if (magnitude > largest || Number.isNaN(magnitude)) {
      largest = magnitude;
      extreme = values[i];
    }
  }
  return extreme;
}

function noPlace(storage: string, name: string, extreme: number): InputError {
  const reason = Number.isFinite(extreme)
    ? `it has a number of ${extreme.toPrecision(3)}, beyond what scales of 16 bits reach: use --storage nf4 or as-is`
    : "it has a number that is not finite: use --storage as-is";
  return new InputError(`Cannot store ${name} in ${storage}`, reason);
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);
function bitsOf(x: number): number {
  float[0] = x;
  return bits[0];
}
function floatOf(word: number): number {
  bits[0] = word;
  return float[0];
}
const roundToF16 = (x: number): number => floatOf(f32FromF16(f16FromF32(bitsOf(x))));
