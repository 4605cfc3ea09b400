import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { dequantize, quantize } from "./scaled.ts";

const quantized = (values: Float32Array, rows: number) => quantize("i8", values, [rows, values.length / rows], "w");

/** The scales of all rows, then their numbers. */
const partsOf = (bytes: Uint8Array, rows: number) => ({
  scales: new Float32Array(bytes.buffer, 0, rows),
  numbers: new Int8Array(bytes.buffer, 4 * rows),
});

describe("int8", () => {
  test("no number is off by more than half its row's scale, and scales are a 127th of the row's largest magnitude", () => {
    const float = fc.float({ noNaN: true, noDefaultInfinity: true });
    const matrix = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 20 })).chain(([rows, columns]) =>
      fc.record({
        rows: fc.constant(rows),
        values: fc.array(float, { minLength: rows * columns, maxLength: rows * columns }),
      }),
    );
    fc.assert(
      fc.property(matrix, ({ rows, values: list }) => {
        const values = Float32Array.from(list);
        const columns = values.length / rows;
        const { scales, numbers } = partsOf(quantized(values, rows), rows);
        for (const [i, value] of values.entries()) {
          const row = Math.floor(i / columns);
          const largest = values
            .subarray(row * columns, (row + 1) * columns)
            .reduce((m, x) => Math.max(m, Math.abs(x)), 0);
          expect(scales[row]).toBe(Math.fround(Math.max(largest / 127, 2 ** -126)));
          expect(Math.abs(value - scales[row] * numbers[i])).toBeLessThanOrEqual((scales[row] / 2) * (1 + 2 ** -20));
          expect(numbers[i]).toBeGreaterThanOrEqual(-127);
        }
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  test("numbers that are int8 times a scale come back as they were, rounding is to even, zeros stay zero", () => {
    const values = Float32Array.of(127, -127, 0.5, 1.5, -0.5, -2.5, 254, 2, 4, -6, 1, 3, 0, 0, 0, 0, 0, -0);
    const { scales, numbers } = partsOf(quantized(values, 3), 3);
    expect([...scales]).toEqual([1, 2, 2 ** -126]);
    expect([...numbers]).toEqual([127, -127, 0, 2, 0, -2, 127, 1, 2, -3, 0, 2, 0, 0, 0, 0, 0, 0]);
    const back = dequantize("i8", quantized(values, 3), [3, 6]);
    expect(quantized(back, 3)).toEqual(quantized(values, 3));
  });

  test.each([Number.NaN, -Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    "%d is refused by the weight's name",
    (bad) => {
      const attempt = () => quantized(Float32Array.of(1, 2, 3, bad), 2);
      expect(attempt).toThrow(InputError);
      expect(attempt).toThrow("Cannot store w in int8: it has a number that is not finite: use --storage as-is");
    },
  );
});

test("what has not the bytes of its shape is refused", () => {
  expect(() => dequantize("i8", new Uint8Array(12), [2, 3])).toThrow(RangeError);
});
