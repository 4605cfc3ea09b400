import { parseModelConfig } from "@zerogate/core";
import { trainingCost } from "@zerogate/core/training";
import fc from "fast-check";
import { expect, test } from "vitest";
import { cutCells, cutEvenCells, mostCells, sampleCost } from "./cells.ts";

const cost = { token: 100, pair: 1, label: 30 };
const even = (multiple: number) => ({ multiple, cost });

const anyBatch = fc
  .record({
    sizes: fc.array(fc.record({ length: fc.integer({ min: 1, max: 120 }), label: fc.nat(40) }), {
      minLength: 1,
      maxLength: 40,
    }),
    cellTokens: fc.integer({ min: 1, max: 200 }),
    multiple: fc.integer({ min: 1, max: 9 }),
  })
  .map(({ sizes, ...rest }) => ({
    ...rest,
    batch: sizes.map((_, i) => i),
    sizes: {
      lengths: Int32Array.from(sizes, ({ length }) => length),
      labelled: Int32Array.from(sizes, ({ label }) => label),
    },
  }));
const ascending = (numbers: Iterable<number>) => [...numbers].toSorted((a, b) => a - b);

test("even cells hold the batch exactly, keep to cellTokens but for one longer sample, and are as many as was asked", () => {
  fc.assert(
    fc.property(anyBatch, ({ batch, sizes, cellTokens, multiple }) => {
      const cells = cutEvenCells(batch, sizes, cellTokens, even(multiple));
      expect(ascending(cells.flat())).toEqual(batch);
      for (const cell of cells) {
        const tokens = cell.reduce((sum, sample) => sum + sizes.lengths[sample]!, 0);
        expect(cell.length === 1 || (cell.length > 1 && tokens <= cellTokens)).toBe(true);
      }
      expect(cells.length === batch.length || cells.length % multiple === 0).toBe(true);
      expect(cells.length).toBeLessThanOrEqual(mostCells(sizes.lengths, batch.length, cellTokens, multiple));
    }),
  );
});

test("the order of a batch decides nothing, and cells with the most work come first", () => {
  fc.assert(
    fc.property(anyBatch, fc.nat(), ({ batch, sizes, cellTokens, multiple }, turn) => {
      const turned = [...batch.slice(turn % batch.length), ...batch.slice(0, turn % batch.length)].toReversed();
      const cells = cutEvenCells(batch, sizes, cellTokens, even(multiple));
      expect(cutEvenCells(turned, sizes, cellTokens, even(multiple))).toEqual(cells);
      const works = cells.map((cell) =>
        cell.reduce((sum, sample) => sum + sampleCost(cost, sizes.lengths[sample]!, sizes.labelled[sample]!), 0),
      );
      expect(works).toEqual(works.toSorted((a, b) => b - a));
    }),
  );
});

test("the largest of the even cells holds at most 4/3 of a fair share and one sample's work more", () => {
  fc.assert(
    fc.property(anyBatch, ({ batch, sizes, multiple }) => {
      const cells = cutEvenCells(batch, sizes, 1_000_000, even(multiple));
      const workOf = (samples: readonly number[]) =>
        samples.reduce((sum, sample) => sum + sampleCost(cost, sizes.lengths[sample]!, sizes.labelled[sample]!), 0);
      const fair = workOf(batch) / cells.length;
      const largest = Math.max(...batch.map((sample) => workOf([sample])));
      expect(Math.max(...cells.map(workOf))).toBeLessThanOrEqual(fair + largest);
    }),
  );
});

test("samples are exchanged if the largest cell is too large: 9, 9 and 9 instead of 11, 8 and 8", () => {
  const lengths = Int32Array.of(5, 5, 4, 4, 3, 3, 3);
  const sizes = { lengths, labelled: new Int32Array(7) };
  const byTokens = { multiple: 3, cost: { token: 1, pair: 0, label: 0 } };
  const tokensOf = (cells: number[][]) => cells.map((cell) => cell.reduce((sum, sample) => sum + lengths[sample]!, 0));
  const batch = [0, 1, 2, 3, 4, 5, 6];
  expect(tokensOf(cutEvenCells(batch, sizes, 100, byTokens))).toEqual([9, 9, 9]);
  // An exchange that leaves no room does not happen: 100 tokens and many labels move nowhere.
  const tight = { lengths: Int32Array.of(6, 4, 4, 2), labelled: Int32Array.of(0, 0, 30, 0) };
  expect(cutEvenCells([0, 1, 2, 3], tight, 8, { multiple: 2, cost: { token: 1, pair: 0, label: 1 } })).toEqual([
    [1, 2],
    [0, 3],
  ]);
});

test("samples go to the cell with the least work, which is not the one with the fewest tokens", () => {
  const sizes = { lengths: Int32Array.of(10, 9, 5, 4), labelled: Int32Array.of(0, 30, 0, 0) };
  // Work: 1100, 1881, 525, 416; by tokens alone 2 and 3 would join 1 and 0.
  expect(cutEvenCells([0, 1, 2, 3], sizes, 100, even(2))).toEqual([[0, 2, 3], [1]]);
  expect(cutEvenCells([0, 1, 2, 3], sizes, 10, even(2))).toEqual([[1], [0], [2], [3]]);
});

test("the fewest cells that cannot be filled are followed by the next multiple, never by more than twice the tokens need", () => {
  const lengths = new Int32Array(6).fill(6);
  const sizes = { lengths, labelled: new Int32Array(6) };
  const batch = [0, 1, 2, 3, 4, 5];
  expect(cutEvenCells(batch, sizes, 10, even(1))).toHaveLength(6); // 36 tokens fit 4 cells of 10 by number only
  expect(cutEvenCells(batch, sizes, 12, even(1))).toHaveLength(3);
  expect(cutEvenCells(batch, sizes, 12, even(2))).toHaveLength(4);
  expect(cutEvenCells(batch, sizes, 12, even(5))).toHaveLength(5);
  expect(cutEvenCells(batch, sizes, 12, even(8))).toHaveLength(6);
  expect(mostCells(lengths, 6, 10)).toBe(6);
  expect(mostCells(lengths, 6, 100)).toBe(1);
  expect(mostCells(lengths, 6, 100, 4)).toBe(4);
});

test("a batch of Alpaca's lengths keeps eight devices busy at 32 records, while cells by first fit keep two", () => {
  const model = parseModelConfig(
    {
      model_type: "llama",
      vocab_size: 32000,
      hidden_size: 4096,
      intermediate_size: 11008,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      max_position_embeddings: 2048,
      rms_norm_eps: 1e-5,
    },
    "config.json",
  );
  const own = trainingCost(model, 30);
  // Quantiles of the lengths of Alpaca's 52,002 records under Llama-2's tokenizer.
  const lengths = Int32Array.from({ length: 32 }, (_, i) => 75 + Math.round(2.2 * i + 0.0026 * i ** 3));
  const sizes = { lengths, labelled: lengths.map((length) => Math.max(1, length - 70)) };
  const batch = Array.from({ length: 32 }, (_, i) => i);
  const busy = (cells: readonly (readonly number[])[]) => {
    const works = cells.map((cell) =>
      cell.reduce((sum, sample) => sum + sampleCost(own, lengths[sample]!, sizes.labelled[sample]!), 0),
    );
    return works.reduce((a, b) => a + b, 0) / (8 * Math.max(...works));
  };
  expect(busy(cutEvenCells(batch, sizes, 2048, { multiple: 8, cost: own }))).toBeGreaterThan(0.95);
  expect(busy(cutCells(batch, lengths, 2048))).toBeLessThan(0.3);
});
