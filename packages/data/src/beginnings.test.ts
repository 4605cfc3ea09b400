import fc from "fast-check";
import { expect, test } from "vitest";
import { beginningsOf, beginningsOfBatch } from "./beginnings.ts";
import { cellCost, cutEvenCells, sampleCost } from "./cells.ts";
import { createPlan } from "./plan.ts";
import { measureSamples } from "./token_set.ts";

function setOf(samples: readonly (readonly number[])[]) {
  const offsets = Float64Array.from([0, ...samples.map((_, s) => samples.slice(0, s + 1).flat().length)]);
  const ids = Int32Array.from(samples.flat());
  const tokens = { ids, offsets, target: new Uint8Array(ids.length).fill(1), hash: "tokens" };
  return { tokens, sizes: { ...measureSamples(tokens), beginnings: beginningsOf(tokens) } };
}
const cost = { token: 5, pair: 0, label: 0 };
const anySamples = fc.array(fc.array(fc.nat(1), { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 8 });

test("two samples share their leading tokens, and a batch knows the same", () => {
  const { sizes } = setOf([[1, 2, 3], [1, 2], [1, 2, 4], [2]]);
  const batch = beginningsOfBatch(sizes.beginnings, [3, 2, 0, 1]);
  for (const { shared } of [sizes.beginnings, batch]) {
    expect([shared(0, 1), shared(0, 2), shared(2, 0), shared(0, 3), shared(1, 1)]).toEqual([2, 2, 2, 0, 2]);
  }
});

test("a cell costs its different beginnings, in any order of its samples", () => {
  fc.assert(
    fc.property(anySamples, (samples) => {
      const { sizes } = setOf(samples);
      const different = new Set(samples.flatMap((ids) => ids.map((_, i) => ids.slice(0, i + 1).join(" "))));
      const cell = [...samples.keys()];
      expect(cellCost(cost, sizes, cell)).toBe(5 * different.size);
      const squares = { token: 0, pair: 1, label: 0 };
      expect(cellCost(squares, sizes, cell)).toBe(cellCost(squares, sizes, cell.toReversed()));
      expect(cellCost(cost, { ...sizes, beginnings: undefined }, cell)).toBe(5 * samples.flat().length);
    }),
  );
});

test("labelled tokens of a beginning cost their head each", () => {
  const { sizes } = setOf([
    [1, 2, 3],
    [1, 2, 3],
  ]);
  expect(cellCost({ token: 1, pair: 0, label: 10 }, sizes, [0, 1])).toBe(3 + 2 * 2 * 10);
});

test("even cells hold their batch once, in one order of cells for any order of the batch, and keep their costs", () => {
  fc.assert(
    fc.property(anySamples, fc.integer({ min: 1, max: 4 }), (samples, multiple) => {
      const { sizes } = setOf(samples);
      const batch = [...samples.keys()];
      const cells = cutEvenCells(batch, sizes, 20, { multiple, cost });
      expect(cells.flat().toSorted((a, b) => a - b)).toEqual(batch);
      expect(cutEvenCells(batch.toReversed(), sizes, 20, { multiple, cost })).toEqual(cells);
      const costs = cells.map((cell) => cellCost(cost, sizes, cell));
      expect(costs).toEqual(costs.toSorted((a, b) => b - a));
    }),
  );
});

test("samples that begin alike come into one cell, which then costs what the others do", () => {
  const long = [1, 2, 3, 4, 5, 6];
  const { sizes } = setOf([
    [...long, 7],
    [...long, 8],
    [...long, 9],
    [20, 21, 22, 23, 24, 25, 26, 27, 28],
  ]);
  const even = { multiple: 2, cost };
  expect(cutEvenCells([0, 1, 2, 3], sizes, 100, even)).toEqual([[3], [0, 1, 2]]);
  expect(cutEvenCells([0, 1, 2, 3], { ...sizes, beginnings: undefined }, 100, even)).toEqual([
    [3, 2],
    [0, 1],
  ]);
  expect(cellCost(cost, sizes, [0, 1, 2])).toBe(9 * sampleCost(cost, 1, 0));
});

test("the hash of a plan names the tokens whose beginnings cut its cells", () => {
  const { sizes } = setOf([
    [1, 2, 3],
    [1, 2],
    [1, 2, 4],
  ]);
  const input = { samples: [0, 1, 2], seed: 1, batchSize: 3, cellTokens: 10 };
  const even = { multiple: 2, cost };
  const { beginnings, ...alone } = sizes;
  const hashes = [
    createPlan({ ...alone, ...input, even }),
    createPlan({ ...sizes, ...input, even }),
    createPlan({ ...alone, ...input, even, beginnings: { ...beginnings, hash: "others" } }),
    createPlan({ ...alone, ...input }),
  ].map(({ hash }) => hash);
  expect(new Set(hashes).size).toBe(4);
  expect(createPlan({ ...sizes, ...input }).hash).toBe(hashes[3]); // first-fit cells do not depend on them
});
