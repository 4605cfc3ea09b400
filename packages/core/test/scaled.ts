/** What every engine passes that takes weights with scales: products over them are those over the numbers that they stand for. */
import { describe, expect, test } from "vitest";
import type { Engine, Matrix, ScaledDType } from "../src/engine/engine.ts";
import { dequantize, quantize } from "../src/formats/scaled.ts";
import { expectClose, expectGradient, expectSameBits, single, wave } from "./numeric.ts";
import type { Numbers } from "./oracle.ts";
import * as oracle from "./oracle.ts";

/** Scales differ by row and have few digits, so that every product with an int8 is exact in float32. */
function someBytes(dtype: ScaledDType, rows: number, columns: number): Uint8Array {
  const scale = (row: number) => (3 + ((7 * row) % 13)) / 512;
  const number = (i: number) => {
    const column = i % columns;
    return column === 0 ? 127 : ((97 * i + 31 * Math.floor(i / columns)) % 255) - 127;
  };
  const values = Float32Array.from({ length: rows * columns }, (_, i) => scale(Math.floor(i / columns)) * number(i));
  return quantize(dtype, values, [rows, columns], "w");
}

/** Rows of the table of models that the cases answer. */
const tags: Readonly<Record<ScaledDType, string>> = {
  i8: "",
  f8: "",
  nf4: ", in 4 bits [M-nf4]",
  i4: ", in 4 bits [M-int4]",
};

/**
 * @param tolerance as of `describeEngine`.
 * @param rounded the factors of a product of more than 4 rows as the engine multiplies them, if it rounds them first.
 */
export function describeScaled(
  name: string,
  dtype: ScaledDType,
  open: () => Engine | Promise<Engine>,
  tolerance: number,
  rounded: (values: Numbers) => Numbers = (values) => values,
): void {
  describe(`${dtype} weights on ${name}${tags[dtype]}`, () => {
    test.each([
      [1, 1, 1],
      [1, 7, 5],
      [2, 70, 33],
      [3, 20, 130],
      [4, 5, 67],
      [5, 13, 31],
      [9, 64, 64],
      [33, 53, 201],
      [130, 101, 19],
      [70, 65, 449],
    ])("T=%i N=%i K=%i: forward, bias, residual, row range, backward", async (T, N, K) => {
      const engine = await open();
      await engine.arena(async () => {
        const bytes = someBytes(dtype, N, K);
        const values = dequantize(dtype, bytes, [N, K]);
        const w = Float64Array.from(values);
        const W = engine.matrix({ dtype, shape: [N, K], bytes });
        const plain = engine.matrix({ dtype: "f32", shape: [N, K], bytes: new Uint8Array(values.buffer) });
        const [x, dy, bias, past] = [wave(T * K, 0.1), wave(T * N, 0.9), wave(N, 1.3), wave(T * N, 2.1)];
        const [X, DY, RESIDUAL] = [engine.upload(single(x)), engine.upload(single(dy)), engine.upload(single(past))];
        const B = engine.matrix({ dtype: "f32", shape: [N], bytes: new Uint8Array(single(bias).buffer) });
        const read = async (weight: Matrix) => {
          const rows = [Math.floor(N / 2), N] as const;
          const part = engine.gatherRows(DY, Int32Array.of(0), { T, D: N });
          return {
            y: await engine.read(engine.linear(X, weight, { T })),
            full: await engine.read(engine.linear(X, weight, { T, bias: B, residual: RESIDUAL })),
            part: await engine.read(engine.linear(X, weight, { T, rows, bias: B })),
            dx: await engine.read(engine.linearBackward(DY, weight, { T, residual: X })),
            some: await engine.read(engine.linearBackward(part, weight, { T: 1, rows: [0, N] })),
            dxPart: await engine.read(engine.linearBackward(engine.linear(X, plain, { T, rows }), weight, { T, rows })),
          };
        };
        const [found, expected] = [await read(W), await read(plain)];
        for (const [what, numbers] of Object.entries(found)) {
          const truth = Float64Array.from(expected[what as keyof typeof expected]);
          // A product of few rows takes the scale of a whole row out of the sum; all else multiplies the same numbers.
          const same = T > 4 || what.startsWith("d") || what === "some" || dtype === "nf4" || dtype === "i4";
          (same ? expectSameBits : expectClose)(numbers, truth, tolerance, what);
        }
        const forward = (at: Numbers) => oracle.linear(at, w, { T, N, K });
        const y = T > 4 ? oracle.linear(rounded(x), rounded(w), { T, N, K }) : forward(x);
        expectClose(found.y, y, Math.min(tolerance, 2e-6), "y");
        const dx = Float32Array.from(found.dx, (d, i) => d - x[i]);
        expectGradient(forward, x, dy, dx, 4 * tolerance, "dx");
      });
    });

    test.each([
      [[0, 2, 2, 9], 33, 70],
      [[0, 0, 40, 45], 20, 64],
    ])("groupedLinear bounds=%j N=%i K=%i: that over the numbers, forward and backward", async (bounds, N, K) => {
      const engine = await open();
      const { groupedLinear, groupedLinearBackward } = engine;
      if (!groupedLinear || !groupedLinearBackward) throw new Error("engines with scales have experts too");
      await engine.arena(async () => {
        const [groups, P] = [bounds.length - 1, bounds.at(-1) ?? 0];
        const shape = [groups * N, K];
        const bytes = someBytes(dtype, groups * N, K);
        const values = dequantize(dtype, bytes, shape);
        const plain = { dtype: "f32", shape, bytes: new Uint8Array(values.buffer) } as const;
        const [x, dy] = [engine.upload(single(wave(P * K, 0.1))), engine.upload(single(wave(P * N, 0.9)))];
        const read = async (weight: Matrix) => ({
          y: await engine.read(groupedLinear(x, weight, Int32Array.from(bounds))),
          dx: await engine.read(groupedLinearBackward(dy, weight, Int32Array.from(bounds))),
        });
        const [found, expected] = [
          await read(engine.matrix({ dtype, shape, bytes })),
          await read(engine.matrix(plain)),
        ];
        // As for linear: a group of few rows takes the scale of a whole row out of the sum.
        const isFew = bounds.some((end, g) => g > 0 && end - bounds[g - 1] > 0 && end - bounds[g - 1] <= 4);
        const isSame = !isFew || dtype === "nf4" || dtype === "i4";
        (isSame ? expectSameBits : expectClose)(found.y, Float64Array.from(expected.y), tolerance, "y");
        expectSameBits(found.dx, Float64Array.from(expected.dx), tolerance, "dx");
        expect(Math.max(...found.y.map(Math.abs))).toBeGreaterThan(0.1);
      });
    });

    test("a weight of a wrong size is refused", async () => {
      const engine = await open();
      const bytes = someBytes(dtype, 4, 3);
      expect(() => engine.matrix({ dtype, shape: [4, 3], bytes: bytes.subarray(0, 12) })).toThrow(RangeError);
    });
  });
}
