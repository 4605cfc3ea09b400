import fc from "fast-check";
import { expect, test } from "vitest";
import { splitSamples } from "./split.ts";
import { joinChunks } from "./token_set.ts";

/** One sample for each content: [content, content + 1]. */
function tokensOf(contents: readonly number[]) {
  const ids = Int32Array.from(contents.flatMap((content) => [content, content + 1]));
  const target = Uint8Array.from(contents.flatMap(() => [0, 1]));
  const lengths = new Int32Array(contents.length).fill(2);
  return joinChunks([
    { ids, target, lengths, wholeLengths: lengths, neededLengths: lengths, truncated: 0, droppedNoTarget: 0 },
  ]).tokens;
}
const different = (count: number) => tokensOf(Array.from({ length: count }, (_, i) => i));

test("both sides are disjoint and whole, equal samples are on one side, and neither side is empty", () => {
  const contents = fc.array(fc.nat(30), { minLength: 3, maxLength: 80 }).filter((list) => new Set(list).size > 1);
  fc.assert(
    fc.property(
      contents,
      fc.maxSafeInteger(),
      fc.double({ min: 0.001, max: 0.6, noNaN: true }),
      (list, seed, validation) => {
        const split = splitSamples(tokensOf(list), { seed, validation });
        expect([...split.train, ...split.validation].toSorted((a, b) => a - b)).toEqual(list.map((_, i) => i));
        const trained = new Set(Array.from(split.train, (sample) => list[sample]));
        expect([...split.validation].some((sample) => trained.has(list[sample]))).toBe(false);
        expect(split.train.length).toBeGreaterThan(0);
        expect(split.validation.length).toBeGreaterThan(0);
      },
    ),
  );
});

test("a fraction is of all samples, a number from 1 on is a count, 0 is none", () => {
  const tokens = different(200);
  const sizes = [0.1, 0.001, 30, 0].map(
    (validation) => splitSamples(tokens, { seed: 1, validation }).validation.length,
  );
  expect(sizes).toEqual([20, 1, 30, 0]);
});

test("a fraction is rounded, all but one may be held out, and a group that just fits is taken", () => {
  const sizes = (count: number, validation: number) =>
    splitSamples(different(count), { seed: 1, validation }).validation.length;
  expect([sizes(150, 0.011), sizes(150, 0.009), sizes(3, 2), sizes(2, 1)]).toEqual([2, 1, 2, 1]);
  const pairs = splitSamples(tokensOf([5, 5, 6, 6, 7, 7]), { seed: 1, validation: 2 });
  expect([pairs.validation.length, pairs.train.length]).toEqual([2, 4]);
  const odd = splitSamples(tokensOf([5, 5, 6, 6, 7, 7]), { seed: 1, validation: 3 });
  expect(odd.validation).toHaveLength(2);
});

test("samples of the same tokens with other targets are not equal", () => {
  const lengths = Int32Array.of(2, 2);
  const ids = Int32Array.of(1, 2, 1, 2);
  const loss = { lengths, wholeLengths: lengths, neededLengths: lengths, truncated: 0, droppedNoTarget: 0 };
  const split = (target: readonly number[]) => () =>
    splitSamples(joinChunks([{ ids, target: Uint8Array.from(target), ...loss }]).tokens, { seed: 1, validation: 1 });
  expect(split([0, 1, 1, 1])().validation).toHaveLength(1);
  expect(split([0, 1, 0, 1])).toThrow("1 of 2 samples, 1 of them different");
});

test("if no group of equal samples is small enough, the smallest is held out whole", () => {
  const contents = [...Array(10).fill(1), ...Array(4).fill(2), ...Array(10).fill(3)] as number[];
  const { train, validation } = splitSamples(tokensOf(contents), { seed: 1, validation: 1 });
  expect([...validation]).toEqual([10, 11, 12, 13]);
  expect(train).toHaveLength(20);
});

test("the split depends on the seed and on nothing else", () => {
  const [once, again, other] = [1, 1, 2].map(
    (seed) => splitSamples(different(100), { seed, validation: 10 }).validation,
  );
  expect(again).toEqual(once);
  expect(other).not.toEqual(once);
});

test("a split that leaves nothing to train on, or is no number, is refused", () => {
  expect(() => splitSamples(different(3), { seed: 1, validation: 3 })).toThrow(
    "Cannot split off validation samples: 3 of 3 samples, 3 of them different, at least 1 must be left to train on",
  );
  expect(() => splitSamples(tokensOf([7, 7, 7]), { seed: 1, validation: 0.5 })).toThrow(
    "3 samples, 1 of them different",
  );
  for (const validation of [-1, 1.5, Number.NaN]) {
    expect(() => splitSamples(different(3), { seed: 1, validation })).toThrow(
      `validation is ${validation}, a fraction below 1`,
    );
  }
});

test("samples with an image in common are on one side, also by way of a third, and without images nothing changes", () => {
  const names = fc.array(fc.constantFrom("a", "b", "c", "d", "e", "f", "g", "h"), { maxLength: 2 });
  const samples = fc.array(fc.tuple(fc.nat(12), names), { minLength: 8, maxLength: 40 });
  fc.assert(
    fc.property(samples, fc.maxSafeInteger(), (list, seed) => {
      const tokens = tokensOf(list.map(([content]) => content));
      const options = { seed, validation: 0.3 };
      expect(splitSamples(tokens, { ...options, imagesOf: () => [] })).toEqual(splitSamples(tokens, options));
      let split: ReturnType<typeof splitSamples>;
      try {
        split = splitSamples(tokens, { ...options, imagesOf: (sample) => list[sample]![1] });
      } catch {
        return; // all of them hang together
      }
      const keys = (side: Int32Array) =>
        new Set([...side].flatMap((sample) => [list[sample]![0], ...list[sample]![1]]));
      const trained = keys(split.train);
      expect([...keys(split.validation)].filter((key) => trained.has(key))).toEqual([]);
      expect(split.validation.length).toBeGreaterThan(0);
    }),
  );
});
