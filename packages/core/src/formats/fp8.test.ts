import { expect, test } from "vitest";
import { normal } from "../random.ts";
import { fp8Values } from "./fp8.ts";
import { dequantize, quantize } from "./scaled.ts";

const stored = (values: Float32Array, rows: number) => quantize("f8", values, [rows, values.length / rows], "w");

test("every number of E4M3 is kept, signs of zero too, and what lies between goes to the nearest, ties to even", () => {
  const numbers = fp8Values.filter((value) => !Number.isNaN(value)); // the scale of a row whose largest is 448 is 1
  expect(numbers).toHaveLength(254);
  const bytes = stored(numbers, 1);
  expect(dequantize("f8", bytes, [1, 254])).toEqual(numbers);
  const rising = numbers.subarray(0, 127);
  for (const [i, low] of rising.entries()) {
    const high = rising[i + 1];
    if (high === undefined) continue;
    const middle = (low + high) / 2;
    const between = Float32Array.of(448, middle, middle + (high - low) / 64, middle - (high - low) / 64);
    const even = i % 2 === 0 ? low : high;
    expect([...dequantize("f8", stored(between, 1), [1, 4])], `between ${low} and ${high}`).toEqual([
      448,
      even,
      high,
      low,
    ]);
  }
});

test("each row has its scale, and a number is off by at most a 16th of itself or 2⁻¹⁰ scales", () => {
  const [rows, columns] = [5, 200];
  const values = Float32Array.from(
    { length: rows * columns },
    (_, i) => normal(1, i) * 10 ** (Math.floor(i / columns) - 3),
  );
  const bytes = stored(values, rows);
  const scales = new Float32Array(bytes.buffer, 0, rows);
  const largest = Array.from(scales, (_, row) =>
    values.subarray(row * columns, (row + 1) * columns).reduce((most, value) => Math.max(most, Math.abs(value)), 0),
  );
  expect([...scales]).toEqual(largest.map((magnitude) => Math.fround(magnitude / 448)));
  const found = dequantize("f8", bytes, [rows, columns]);
  for (const [i, value] of values.entries()) {
    const scale = scales[Math.floor(i / columns)] ?? 0;
    const most = Math.max(Math.abs(value) / 16, scale * 2 ** -10) * (1 + 1e-6);
    expect(Math.abs((found[i] ?? Number.NaN) - value)).toBeLessThanOrEqual(most);
  }
  expect(dequantize("f8", stored(new Float32Array(3), 1), [1, 3])).toEqual(new Float32Array(3));
  expect(() => stored(Float32Array.of(1, Number.NaN), 1)).toThrow("Cannot store w in fp8");
});
