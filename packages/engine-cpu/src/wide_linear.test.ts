/** Linear maps of the host, natively: the bits of core's, at every instruction set and for any number of threads. */
import { normal, wideLinear as plain, wideLinearBackward as plainBackward } from "@zerogate/core/training";
import { describe, expect, test } from "vitest";
import { absent, levels, openAt } from "../test/levels.ts";
import { wideLinear, wideLinearBackward } from "./host_arithmetic.ts";

/** Numbers of many magnitudes, of which every seventh is -0 and every eleventh subnormal as a float32. */
const number = (seed: number, i: number): number => {
  if (i % 7 === 3) return -0;
  return normal(seed, i) * (i % 11 === 5 ? 2 ** -140 : 2 ** ((i % 40) - 20));
};
const wide = (length: number, seed: number) => Float64Array.from({ length }, (_, i) => number(seed, i));
const narrow = (length: number, seed: number) => Float32Array.from({ length }, (_, i) => number(seed, i));
const bytesOf = ({ buffer, byteOffset, byteLength }: Float64Array) => Buffer.from(buffer, byteOffset, byteLength);

/** Odd sizes around the widths of vectors and tiles, none at all, and more outputs than one job has. */
const sizes = [
  [1, 1, 1],
  [0, 3, 2],
  [3, 0, 2],
  [2, 3, 0],
  [5, 7, 9],
  [16, 4, 16],
  [17, 130, 33],
  [9, 66, 31],
  [40, 5, 47],
] as const;

describe.skipIf(absent !== "").each(levels.length > 0 ? levels : ["none"])(`level %s${absent}`, (level) => {
  test.each(sizes)("%i rows to %i outputs of %i inputs: the bits of core's, forward and backward", (T, N, K) => {
    const size = { T, N, K };
    const [x, dy, weight] = [wide(T * K, 1), wide(T * N, 2), narrow(N * K, 3)];
    const map = { weight, bias: narrow(N, 4) };
    const sums = () => ({ weight: wide(N * K, 5), bias: wide(N, 6) });
    const [y, theirs] = [plain(x, map, size), sums()];
    const dx = plainBackward(theirs, { dy_TN: dy, x_TK: x, weight }, size);
    for (const threads of [1, 3]) {
      const engine = openAt(level, { threads });
      const ours = sums();
      const found = [
        engine.wideLinear?.(x, map, size),
        engine.wideLinearBackward?.(ours, { dy_TN: dy, x_TK: x, weight }, size),
        ours.weight,
        ours.bias,
      ];
      for (const [i, expected] of [y, dx, theirs.weight, theirs.bias].entries()) {
        const own = found[i];
        expect(own && bytesOf(own).equals(bytesOf(expected)), `${i} with ${threads} threads`).toBe(true);
      }
    }
  });
});

test.skipIf(absent !== "")(`lengths that do not fit the sizes are refused${absent}`, () => {
  const map = { weight: new Float32Array(6), bias: new Float32Array(2) };
  const x = new Float64Array(3);
  expect([...wideLinear(x, map, { T: 1, N: 2, K: 3 })]).toEqual([0, 0]);
  expect(() => wideLinear(x, map, { T: 1, N: 2, K: 4 })).toThrow(
    "Cannot run wideLinear: x_TK has 3 numbers, 4 are needed",
  );
  expect(() => wideLinear(x, { ...map, bias: new Float32Array(1) }, { T: 1, N: 2, K: 3 })).toThrow(
    "bias has 1 numbers, 2",
  );
  const sums = { weight: new Float64Array(6), bias: new Float64Array(2) };
  const input = { dy_TN: new Float64Array(2), x_TK: x, weight: map.weight };
  expect([...wideLinearBackward(sums, input, { T: 1, N: 2, K: 3 })]).toEqual([0, 0, 0]);
  for (const [name, wrong] of [
    ["dweight", { weight: new Float64Array(5), bias: sums.bias }],
    ["dbias", { weight: sums.weight, bias: new Float64Array(3) }],
  ] as const) {
    expect(() => wideLinearBackward(wrong, input, { T: 1, N: 2, K: 3 })).toThrow(
      `Cannot run wideLinearBackward: ${name}`,
    );
  }
});
