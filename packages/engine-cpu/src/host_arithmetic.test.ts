import { addFixedPoint as reference } from "@zerogate/core/training";
import { expect, test } from "vitest";
import { absent, levels, openAt } from "../test/levels.ts";
import { addFixedPoint } from "./host_arithmetic.ts";

const special = Float32Array.of(0, -0, 1, -1, 2 ** -48, 1.5 * 2 ** -48, -(2 ** -49), 2 ** -49, 3 * 2 ** -49, 2 ** -149);
const bad = Float32Array.of(Number.NaN, Infinity, -Infinity, 512, -512, 3e38);

test.skipIf(absent !== "").each(levels.length > 0 ? levels : ["none"])(
  `at level %s sums have the bits of core's, also after wrapping, and bad numbers are counted${absent}`,
  (level) => {
    const add = openAt(level).addFixedPoint;
    if (!add) throw new Error("the engine has no addFixedPoint");
    let state = 1;
    const random = Float32Array.from({ length: 1000 }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state / 2 ** 31 - 1) * 2 ** ((state % 60) - 51);
    });
    const gradient = Float32Array.from([...special, ...bad, ...random, 511.99997, Number.NaN]);
    const [ours, theirs] = [new Int32Array(2 * gradient.length + 1), new Int32Array(2 * gradient.length)];
    for (let round = 0; round < 100; round++) {
      for (const limit of [512, 1, 2 ** -20]) {
        const sign = round % 3 === 0 ? gradient.map((g) => -g) : gradient;
        // From the second word on: an int64 there is at no multiple of eight bytes.
        expect(add(ours.subarray(1), sign, limit)).toBe(reference(theirs, sign, limit));
      }
    }
    expect(ours.subarray(1)).toEqual(theirs);
  },
);

test.skipIf(absent !== "")(`wrong lengths and limits are refused${absent}`, () => {
  const add = (words: number, limit?: number) => () => addFixedPoint(new Int32Array(words), new Float32Array(3), limit);
  expect(add(5)).toThrow("Cannot add a gradient: sum has 5 words, 6 are needed");
  expect(add(6, 513)).toThrow("Cannot add a gradient: limit is 513");
});
