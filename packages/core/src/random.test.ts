import { expect, test } from "vitest";
import { normal, randomBits, uniform } from "./random.ts";

test("values never change: runs, checkpoints and seeds rely on them", () => {
  expect([randomBits(), randomBits(0), randomBits(1, 2, 3), randomBits(-1), randomBits(2 ** 40, 7)]).toEqual([
    2462723854, 171062546, 936399074, 2545098668, 1087596739,
  ]);
  expect([uniform(0), uniform(1, 2), uniform(2 ** 53 - 1)]).toEqual([
    0.24548766763136687, 0.7910004387279916, 0.3697162107601858,
  ]);
  expect([normal(0), normal(1, 2), normal(5, 31, 40_959)]).toEqual([
    1.7632333040237427, 0.3812239468097687, 0.2213640660047531,
  ]);
});

test("bits are 32 and uniform numbers lie in [0, 1) and use all of their 53 bits", () => {
  let [lowBits, largest, smallest] = [0, 0, 1];
  for (let i = 0; i < 20_000; i++) {
    const bits = randomBits(9, i);
    expect(Number.isInteger(bits) && bits >= 0 && bits < 2 ** 32).toBe(true);
    const u = uniform(9, i);
    [largest, smallest] = [Math.max(largest, u), Math.min(smallest, u)];
    lowBits |= Number(BigInt(u * 2 ** 53) & 0xffffn);
  }
  expect(smallest).toBeGreaterThanOrEqual(0);
  expect(largest).toBeLessThan(1);
  expect(largest - smallest).toBeGreaterThan(0.999);
  expect(lowBits).toBe(0xffff);
});

test.each<[what: string, key: (i: number) => number[]]>([
  ["counted last word", (i) => [3, i]],
  ["counted first word", (i) => [i, 3]],
  ["high half of a word", (i) => [i * 2 ** 32]],
  ["negative words", (i) => [-i, 0]],
])("uniform numbers fill 256 bins evenly: %s", (_, key) => {
  const [n, bins] = [100_000, 256];
  const counts = Array.from({ length: bins }, () => 0);
  for (let i = 0; i < n; i++) counts[Math.floor(uniform(...key(i)) * bins)]++;
  const chiSquare = counts.reduce((sum, count) => sum + (count - n / bins) ** 2 / (n / bins), 0);
  // 255 degrees of freedom: mean 255, deviation √510 = 22.6; both tails at 5 deviations.
  expect(chiSquare).toBeGreaterThan(255 - 113);
  expect(chiSquare).toBeLessThan(255 + 113);
});

test("normal numbers have the moments of the normal distribution", () => {
  const n = 100_000;
  let [sum, squares, cubes, fourths] = [0, 0, 0, 0];
  for (let i = 0; i < n; i++) {
    const z = normal(42, i);
    sum += z;
    squares += z ** 2;
    cubes += z ** 3;
    fourths += z ** 4;
  }
  // 4 deviations of each mean: those of z, z², z³, z⁴ are 1, √2, √15, √96, over √n.
  const within = (moment: number, expected: number, deviation: number) =>
    expect(Math.abs(moment / n - expected)).toBeLessThan((4 * deviation) / Math.sqrt(n));
  within(sum, 0, 1);
  within(squares, 1, Math.SQRT2);
  within(cubes, 0, Math.sqrt(15));
  within(fourths, 3, Math.sqrt(96));
});

test("keys that differ in one word, in its place or in length give unrelated streams", () => {
  const n = 20_000;
  const streams: Record<string, (i: number) => number> = {
    "seed 1": (i) => normal(1, i),
    "seed 2": (i) => normal(2, i),
    "seed 2³² + 1": (i) => normal(2 ** 32 + 1, i),
    "one word more": (i) => normal(1, i, 0),
    "words swapped": (i) => normal(i, 1),
    neighbour: (i) => normal(1, i + 1),
  };
  const values = Object.entries(streams).map(([name, at]) => ({
    name,
    list: Array.from({ length: n }, (_, i) => at(i)),
  }));
  for (const [i, a] of values.entries()) {
    for (const b of values.slice(0, i)) {
      const correlation = a.list.reduce((sum, x, k) => sum + x * b.list[k], 0) / n;
      expect(Math.abs(correlation), `${a.name} with ${b.name}`).toBeLessThan(4.5 / Math.sqrt(n));
    }
  }
});
