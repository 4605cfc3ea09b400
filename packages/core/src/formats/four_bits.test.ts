import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { normal } from "../random.ts";
import { dequantize, quantize } from "./scaled.ts";

const levels = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];
const finite = fc.float({ noNaN: true, noDefaultInfinity: true });
const matrices = (numbers: fc.Arbitrary<number>) =>
  fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 150 })).chain(([rows, columns]) =>
    fc.record({
      shape: fc.constant([rows, columns] as const),
      values: fc
        .array(numbers, { minLength: rows * columns, maxLength: rows * columns })
        .map((v) => Float32Array.from(v)),
    }),
  );
/** A wave of normal numbers with outliers, as weights have them. */
const weights = (length: number) => Float32Array.from({ length }, (_, i) => normal(7, i) * (i % 41 === 0 ? 6 : 1));

/** The codes and the scale of each block of one row, read byte by byte. */
function blocksOf(bytes: Uint8Array, block: number, scaleBytes: number) {
  const stride = scaleBytes + block / 2;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Array.from({ length: bytes.length / stride }, (_, b) => {
    const at = b * stride;
    const codes = Array.from({ length: block }, (_unused, i) => {
      const byte = bytes[at + scaleBytes + 16 * Math.floor(i / 32) + (i % 16)];
      return i % 32 < 16 ? byte % 16 : Math.floor(byte / 16);
    });
    return { codes, scale: scaleBytes === 4 ? view.getFloat32(at, true) : view.getUint16(at, true) };
  });
}

describe("nf4 [M-nf4]", () => {
  test("each number has the nearest of sixteen levels times the largest magnitude of its 64, of two equally near the lower", () => {
    fc.assert(
      fc.property(matrices(finite), ({ shape: [rows, columns], values }) => {
        const bytes = quantize("nf4", values, [rows, columns], "w");
        const perRow = Math.ceil(columns / 64);
        expect(bytes).toHaveLength(rows * perRow * 36);
        for (const [b, { codes, scale }] of blocksOf(bytes, 64, 4).entries()) {
          const from = Math.floor(b / perRow) * columns + (b % perRow) * 64;
          const own = values.subarray(from, from + Math.min(64, columns - (b % perRow) * 64));
          expect(scale).toBe(own.reduce((most, x) => Math.max(most, Math.abs(x)), 0));
          const nearest = Array.from(own, (x) => {
            const distances = levels.map((level) => Math.abs(level - (scale === 0 ? 0 : x / scale)));
            return distances.indexOf(Math.min(...distances));
          });
          expect(codes).toEqual([...nearest, ...Array(64 - own.length).fill(7)]);
        }
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  test("a number on the border of two levels has the lower, one float32 beyond it the higher", () => {
    for (const [i, level] of levels.slice(0, -1).entries()) {
      const border = (level + (levels[i + 1] ?? 0)) / 2;
      const low = Math.fround(border);
      const beside = new Float32Array([border]);
      new Uint32Array(beside.buffer)[0] += border > 0 ? 1 : -1;
      const [first] = blocksOf(quantize("nf4", Float32Array.of(1, low, beside[0]), [1, 3], "w"), 64, 4);
      expect(first?.codes.slice(1, 3)).toEqual([low > border ? i + 1 : i, i + 1]);
    }
  });

  test("levels times a scale come back as they were, so what bitsandbytes made of a weight is kept", () => {
    const values = Float32Array.from({ length: 3 * 200 }, (_, i) => {
      return (levels[i % 64 === 0 ? 15 : (i * 7) % 16] ?? 0) * Math.fround(0.013 * (1 + Math.floor(i / 200)));
    });
    const bytes = quantize("nf4", values, [3, 200], "w");
    expect(dequantize("nf4", bytes, [3, 200])).toEqual(values);
  });
});

describe("int4 [M-int4]", () => {
  test("a block is Q4_0 of GGUF: scale −extreme/8 in float16, then 16 bytes; half a scale is the most that a number is off", () => {
    const values = weights(3 * 77);
    const bytes = quantize("i4", values, [3, 77], "w");
    expect(bytes).toHaveLength(3 * 3 * 18);
    const back = dequantize("i4", bytes, [3, 77]);
    for (const [b, { codes }] of blocksOf(bytes, 32, 2).entries()) {
      const from = Math.floor(b / 3) * 77 + (b % 3) * 32;
      const own = values.subarray(from, from + Math.min(32, 77 - (b % 3) * 32));
      const extreme = own.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0);
      const scale = Math.abs(extreme / 8);
      for (const [i, x] of own.entries()) {
        // Beyond 7 scales on the side that the extreme is not, a number goes to the last code.
        const most = Math.sign(x) !== Math.sign(extreme) && Math.abs(x) > 7.5 * scale ? scale : scale / 2;
        expect(Math.abs(back[from + i] - x)).toBeLessThanOrEqual(most * (1 + 2 ** -6));
      }
      expect(codes[own.indexOf(extreme)]).toBe(0);
      expect(codes.slice(own.length)).toEqual(Array(32 - own.length).fill(8));
    }
  });

  test("what a block of Q4_0 stands for comes back as it was: such a file is kept", () => {
    const d = Float32Array.of(0.0123291015625, -3.0517578125e-5, 2 ** -24, 1024); // float16 numbers, two of them small
    const values = Float32Array.from({ length: 4 * 32 }, (_, i) => {
      return d[Math.floor(i / 32)] * (i % 32 === 5 ? -8 : ((i * 11) % 16) - 8);
    });
    expect(dequantize("i4", quantize("i4", values, [1, 128], "w"), [1, 128])).toEqual(values);
    expect(dequantize("i4", quantize("i4", values, [4, 32], "w"), [4, 32])).toEqual(values);
  });

  test("a block of tiny numbers is zeros, or as near as its scale allows", () => {
    for (const tiny of [1e-45, 2e-7, 2.5e-7, 1e-6]) {
      const back = dequantize("i4", quantize("i4", Float32Array.of(tiny, -tiny / 2, 0), [1, 3], "w"), [1, 3]);
      for (const [i, x] of [tiny, -tiny / 2, 0].entries()) {
        expect(Math.abs(back[i] - x)).toBeLessThanOrEqual(8 * 2 ** -25 + tiny / 16);
      }
    }
  });

  test("a number whose scale has no place in 16 bits is refused, with what holds it", () => {
    const attempt = () => quantize("i4", Float32Array.of(1, -524_160), [1, 2], "w");
    expect(attempt).toThrow(InputError);
    expect(attempt).toThrow(
      "Cannot store w in int4: it has a number of -5.24e+5, beyond what scales of 16 bits reach: use --storage nf4 or as-is",
    );
    expect(quantize("nf4", Float32Array.of(1, -524_160), [1, 2], "w")).toHaveLength(36);
  });
});

test.each([
  ["nf4", "nf4"],
  ["i4", "int4"],
] as const)("%s: what is not finite is refused by the weight's name, the last of a block too", (dtype, storage) => {
  for (const bad of [Number.NaN, -Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    for (const at of [0, 63, 69]) {
      const numbers = new Float32Array(70).fill(1);
      numbers[at] = bad;
      expect(() => quantize(dtype, numbers, [1, 70], "w")).toThrow(
        `Cannot store w in ${storage}: it has a number that is not finite: use --storage as-is`,
      );
    }
  }
});

test("zeros stay zeros, and bytes of a wrong length are refused", () => {
  for (const dtype of ["nf4", "i4"] as const) {
    const bytes = quantize(dtype, new Float32Array(6), [2, 3], "w");
    expect(dequantize(dtype, bytes, [2, 3])).toEqual(new Float32Array(6));
    expect(() => dequantize(dtype, bytes.subarray(1), [2, 3])).toThrow(RangeError);
  }
});
