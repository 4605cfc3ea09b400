import fc from "fast-check";
import { expect, test } from "vitest";
import { shareCells } from "./share.ts";

const sizes = fc.array(fc.integer({ min: 1, max: 4096 }), { maxLength: 64 });
const speeds = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 16 });

// The rank that takes a cell ends it no later than anybody would have: by the ranks' speeds that is (others' work + m cells) / all speeds.
test("every cell goes to exactly one rank, and nobody ends later than an even split by more than a cell of each other rank", () => {
  fc.assert(
    fc.property(sizes, speeds, (cells, ranks) => {
      const shares = shareCells(cells, ranks);
      expect(shares.flat().toSorted((a, b) => a - b)).toEqual(cells.map((_, i) => i));
      const total = cells.reduce((a, b) => a + b, 0);
      const all = ranks.reduce((a, b) => a + b, 0);
      const latest = (total + (ranks.length - 1) * Math.max(0, ...cells)) / all;
      for (const [rank, own] of shares.entries()) {
        const speed = ranks[rank] ?? 0;
        const seconds = own.reduce((sum, cell) => sum + (cells[cell] ?? 0), 0) / speed;
        expect(seconds).toBeLessThanOrEqual(latest + 1e-9);
      }
    }),
  );
});

test("a rank of twice the speed gets about twice the work", () => {
  const shares = shareCells(
    Array.from({ length: 60 }, () => 100),
    [2, 1],
  );
  expect(shares.map(({ length }) => length)).toEqual([40, 20]);
});

test("speeds that mean nothing are refused", () => {
  for (const wrong of [[], [0], [1, Number.NaN], [-1]]) expect(() => shareCells([1], wrong)).toThrow(RangeError);
});
