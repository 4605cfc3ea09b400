import { expect, test } from "vitest";
import { createCurve } from "./curve.ts";

test("a short curve is its values", () => {
  const curve = createCurve();
  expect(curve.values()).toEqual([]);
  for (const value of [3, 1, 2]) curve.add(value);
  expect(curve.values()).toEqual([3, 1, 2]);
});

test("a curve of a million values holds means of equally many, in little room, and the last one", () => {
  const curve = createCurve();
  let longest = 0;
  for (let i = 0; i < 1_000_000; i++) {
    curve.add(i);
    if (i % 997 === 0) longest = Math.max(longest, curve.values().length);
  }
  const values = curve.values();
  expect(longest).toBeLessThanOrEqual(241);
  expect(values.at(-1)).toBe(999_999);
  // Of 0, 1, 2, … each mean is the middle of its group.
  const size = (values[1] ?? 0) - (values[0] ?? 0);
  expect(values[0]).toBe((size - 1) / 2);
  for (let i = 1; i + 1 < values.length; i++) expect((values[i] ?? 0) - (values[i - 1] ?? 0)).toBe(size);
  expect(values.length).toBeGreaterThan(120);
});
