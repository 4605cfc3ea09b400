import { expect, test } from "vitest";
import { mcNemar, pairedDifference, wilsonInterval } from "./statistics.ts";

test("Wilson's interval is that of Newcombe's table, stays within 0 and 1, and has a width at the ends [D-task-intervals]", () => {
  // Newcombe 1998, Statistics in Medicine 17, table I, method 3.
  const rounded = (right: number, count: number) => wilsonInterval(right, count).map((end) => Number(end.toFixed(4)));
  expect(rounded(81, 263)).toEqual([0.2553, 0.3662]);
  expect(rounded(15, 148)).toEqual([0.0624, 0.1605]);
  expect(rounded(0, 20)).toEqual([0, 0.1611]);
  expect(rounded(1, 29)).toEqual([0.0061, 0.1718]);
  expect(wilsonInterval(20, 20)[1]).toBe(1);
  expect(wilsonInterval(20, 20)[0]).toBeCloseTo(1 - 0.1611, 4);
  expect(wilsonInterval(0, 0)).toEqual([0, 1]);
});

test("McNemar's exact p is twice the smaller tail of a fair coin [D-task-intervals]", () => {
  expect(mcNemar(0, 0)).toBe(1);
  expect(mcNemar(5, 5)).toBe(1);
  expect(mcNemar(0, 5)).toBeCloseTo(2 / 32, 12);
  expect(mcNemar(2, 8)).toBeCloseTo((2 * (1 + 10 + 45)) / 1024, 12);
  expect(mcNemar(8, 2)).toBe(mcNemar(2, 8));
  // 2⁻⁴⁰⁰⁰ is 0 in float64: a sum of plain probabilities would be, too.
  expect(mcNemar(2000, 2100)).toBeGreaterThan(0.1);
  expect(mcNemar(2000, 2100)).toBeLessThan(0.13);
});

test("a difference counts who alone is right, and its interval holds it and is the same each time [D-task-intervals]", () => {
  const first = Array.from({ length: 200 }, (_, i) => i % 2 === 0);
  const second = Array.from({ length: 200 }, (_, i) => i % 2 === 0 || i % 10 === 1);
  const found = pairedDifference(first, second);
  expect(found).toMatchObject({ difference: 0.1, onlyFirst: 0, onlySecond: 20 });
  expect(found.p).toBeCloseTo(2 * 2 ** -20, 12);
  const [low, high] = found.interval;
  // The mean of 200 draws of which 20 are 1: 0.1 ± 1.96 √(0.09 / 200)
  expect(low).toBeGreaterThan(0.1 - 0.042 - 0.01);
  expect(low).toBeLessThan(0.1 - 0.042 + 0.01);
  expect(high).toBeGreaterThan(0.1 + 0.042 - 0.01);
  expect(high).toBeLessThan(0.1 + 0.042 + 0.01);
  expect(pairedDifference(first, second)).toEqual(found);
  const turned = pairedDifference(second, first);
  expect(turned).toMatchObject({ difference: -0.1, onlyFirst: 20, onlySecond: 0, p: found.p });
  expect(pairedDifference([], [])).toEqual({ difference: 0, interval: [0, 0], onlyFirst: 0, onlySecond: 0, p: 1 });
});
