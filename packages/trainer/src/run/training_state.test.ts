import { expect, test } from "vitest";
import { sharedNumbers, takeUp } from "./training_state.ts";

test("numbers are those of the checkpoint, or those that training starts with and no moments, whatever was there", () => {
  const numbers = sharedNumbers(3);
  for (const array of Object.values(numbers) as Float32Array[]) {
    expect(array.buffer).toBeInstanceOf(SharedArrayBuffer);
    array.fill(9);
  }
  const start = Float32Array.of(1, 2, 3);
  const fresh = { initialParams: start, layout: { table: [] } };
  expect(takeUp(numbers, undefined, fresh)).toEqual({ m: new Float32Array(3), v: new Float32Array(3), t: [0] });
  expect(numbers.params).toEqual(start);
  const [params, m, v] = [4, 5, 6].map((value) => new Float32Array(3).fill(value)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const moments = takeUp(numbers, { params, moments: { m, v, t: [7] } }, fresh);
  expect(moments).toEqual({ m, v, t: [7] });
  expect([moments.m, moments.v]).toEqual([numbers.m, numbers.v]);
  expect(moments.m).toBe(numbers.m);
  expect(moments.v).toBe(numbers.v);
  expect(numbers.params).toEqual(params);
});
