import fc from "fast-check";
import { expect, test } from "vitest";
import { permutation } from "./permutation.ts";

test("permutation holds every number once, the same for the same seed and stream", () => {
  fc.assert(
    fc.property(fc.nat(300), fc.maxSafeInteger(), fc.integer({ min: -1, max: 1000 }), (n, seed, stream) => {
      const order = permutation(n, seed, stream);
      expect([...order].toSorted((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
      expect(permutation(n, seed, stream)).toEqual(order);
    }),
  );
});

test("permutation differs from seed to seed and from stream to stream", () => {
  const orders = [
    [0, 0],
    [0, 1],
    [1, 0],
    [2 ** 32, 0], // differs from seed 0 in the upper half only
  ].map(([seed, stream]) => permutation(50, seed!, stream!).join());
  expect(new Set(orders).size).toBe(4);
});

test("permutation is fair: each of the 6 orders of 3 comes up about 1000 times in 6000", () => {
  const counts = new Map<string, number>();
  for (let seed = 0; seed < 6000; seed++) {
    const order = permutation(3, seed, 0).join();
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  expect(counts.size).toBe(6);
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150); // 5 standard deviations of 29
});

test("permutation refuses a seed that is not a safe integer", () => {
  expect(() => permutation(3, 0.5, 0)).toThrow("Cannot shuffle with seed 0.5: a safe integer is needed");
});
