import { expect, test } from "vitest";
import { lengthKeeping, recordLengths } from "./record_lengths.ts";

/** 100 records of 11, 12, … 110 tokens in two chunks; an answer of 5 tokens each. */
const whole = Array.from({ length: 100 }, (_, i) => 11 + ((37 * i) % 100));
const chunk = (lengths: readonly number[]) => ({
  wholeLengths: Int32Array.from(lengths),
  neededLengths: Int32Array.from(lengths, (length) => length - 4),
});
const lengths = recordLengths([chunk(whole.slice(0, 60)), chunk(whole.slice(60))]);

test("the length that keeps a share of the records, in part or whole, is the smallest one [T-D3]", () => {
  expect(lengths.longest).toBe(110);
  for (const { share, some, whole: all } of lengths.keeping) {
    const kept = (limit: number) => whole.filter((length) => length - 4 <= limit).length;
    expect(kept(some)).toBeGreaterThanOrEqual(100 * share);
    expect(kept(some - 1)).toBeLessThan(100 * share);
    expect(all).toBe(some + 4);
  }
  expect(lengths.keeping.map(({ share }) => share)).toEqual([0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 1]);
});

test("of few records a share is rounded up to whole ones [T-D3]", () => {
  const { keeping } = recordLengths([chunk([10, 20, 30])]);
  expect(keeping.map(({ whole: all }) => all)).toEqual([20, 30, 30, 30, 30, 30, 30]);
});

test("of no records nothing is long", () => {
  const none = recordLengths([]);
  expect(none.longest).toBe(0);
  expect(none.keeping.every(({ some, whole: all }) => some === 0 && all === 0)).toBe(true);
});

test("a share is kept whole if the limit allows it, else in part, else not [T-D3]", () => {
  expect(lengthKeeping(lengths, 0.95, 200)).toEqual({ maxLength: 105, share: 0.95 });
  expect(lengthKeeping(lengths, 1 - 0.05, 105)).toEqual({ maxLength: 105, share: 0.95 });
  expect(lengthKeeping(lengths, 0.95, 104)).toEqual({ maxLength: 101, share: 0.95 });
  expect(lengthKeeping(lengths, 0.96, 200)).toEqual({ maxLength: 108, share: 0.98 });
  expect(lengthKeeping(lengths, 0.95, 100)).toBeUndefined();
  expect(lengthKeeping(lengths, 0, 200)).toEqual({ maxLength: 60, share: 0.5 });
});
