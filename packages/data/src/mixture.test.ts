/** How much of each part an epoch of a mixture holds, and which samples. */
import { InputError } from "@zerogate/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type MixedPart, mixedEpoch, mixParts, type PartRule } from "./mixture.ts";
import { createPlan } from "./plan.ts";

const range = (from: number, count: number) => Int32Array.from({ length: count }, (_, i) => from + i);

/** Parts of these sizes, one after the other. */
function mixture(sizes: readonly number[], rules: readonly Omit<PartRule, "name">[]) {
  const ends = sizes.map((_, i) => sizes.slice(0, i + 1).reduce((a, b) => a + b, 0));
  const parts = rules.map((rule, i) => ({ name: `part ${i}`, ...rule }));
  return {
    samples: range(0, ends.at(-1) ?? 0),
    mixture: { parts, partOf: (s: number) => ends.findIndex((e) => s < e) },
  };
}

const shares = (sizes: readonly number[], rules: readonly Omit<PartRule, "name">[]) => {
  const { samples, mixture: mix } = mixture(sizes, rules);
  return mixParts(mix, samples).map(({ perEpoch }) => perEpoch);
};

test("an epoch has as many samples as all parts, shared out by weight, the rest to the largest remainders, then no more than caps [D-mix-shares]", () => {
  expect(shares([900, 100], [{ weight: 0.7 }, { weight: 0.3 }])).toEqual([700, 300]);
  expect(shares([900, 100], [{ weight: 7e300 }, { weight: 3e300 }])).toEqual([700, 300]);
  expect(shares([5, 5, 1], [{ weight: 1 }, { weight: 1 }, { weight: 1 }])).toEqual([4, 4, 3]);
  expect(shares([900, 100], [{ weight: 1, cap: 50 }, { weight: 1 }])).toEqual([50, 500]);
  expect(shares([900, 100], [{ cap: 50 }, {}])).toEqual([50, 100]);
  expect(shares([900, 100], [{}, {}])).toEqual([900, 100]);
});

test.each([
  [[{ weight: 0 }, { weight: 1 }], "the weight of part 0 is 0, a number above 0 is needed"],
  [[{ weight: -1 }, { weight: 1 }], "the weight of part 0 is -1"],
  [[{ weight: Number.NaN }, { weight: 1 }], "the weight of part 0 is NaN"],
  [[{ weight: Number.POSITIVE_INFINITY }, { weight: 1 }], "the weight of part 0 is Infinity"],
  [[{ weight: 1 }, {}], "part 1 has no weight and others have: give all of them one"],
  [[{ cap: 0 }, { cap: 0 }], "the cap of part 1 is 0, a whole number from 1 on is needed"],
  [[{ cap: 1.5 }, {}], "the cap of part 0 is 1.5"],
  [[{ weight: 1e-9 }, { weight: 1 }], "of part 0 an epoch of 20 samples would hold none: raise its weight"],
] as const)("nonsense is refused: %j [D-mix-refused]", (rules, message) => {
  expect(() => shares([10, 10], rules)).toThrow(InputError);
  expect(() => shares([10, 10], rules)).toThrow(message);
});

test("a part without a sample to train on is refused by name [D-mix-refused]", () => {
  expect(() => shares([10, 0], [{ weight: 1 }, { weight: 1 }])).toThrow(
    "part 1 has no sample to train on: leave it out",
  );
});

const counts = (samples: Iterable<number>) => {
  const seen = new Map<number, number>();
  for (const sample of samples) seen.set(sample, (seen.get(sample) ?? 0) + 1);
  return seen;
};

test("over epochs no sample of a part is seen twice more often than another, and each epoch has its share [D-mix-epochs]", () => {
  const sizes = fc.array(
    fc.record({ size: fc.integer({ min: 1, max: 30 }), perEpoch: fc.integer({ min: 1, max: 70 }) }),
    {
      minLength: 1,
      maxLength: 4,
    },
  );
  fc.assert(
    fc.property(
      sizes,
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      fc.integer({ min: 1, max: 6 }),
      (all, seed, epochs) => {
        let first = 0;
        const parts = all.map(({ size, perEpoch }, i): MixedPart => {
          first += size;
          return { name: `${i}`, samples: range(first - size, size), perEpoch };
        });
        const seen: number[] = [];
        for (let epoch = 0; epoch < epochs; epoch++) {
          const own = mixedEpoch(parts, seed, epoch);
          expect(mixedEpoch(parts, seed, epoch)).toEqual(own); // any epoch by itself
          for (const { samples, perEpoch } of parts) {
            expect(own.filter((sample) => samples.includes(sample))).toHaveLength(perEpoch);
          }
          seen.push(...own);
        }
        const often = counts(seen);
        for (const { samples } of parts) {
          const times = [...samples].map((sample) => often.get(sample) ?? 0);
          expect(Math.max(...times) - Math.min(...times)).toBeLessThanOrEqual(1);
        }
      },
    ),
    { numRuns: 60 },
  );
});

const lengths = Int32Array.from({ length: 60 }, (_, i) => 5 + ((i * 7) % 23));
const labelled = lengths.map((length) => length - 3);
const base = { lengths, labelled, samples: range(0, 60), seed: 3, batchSize: 8, cellTokens: 40 };
const parts = (weight: number) => ({
  parts: [
    { name: "a", weight: 1 },
    { name: "b", weight },
  ],
  partOf: (sample: number) => (sample < 50 ? 0 : 1),
});

test.each([
  ["first-fit cells", undefined],
  ["even cells", { multiple: 3, cost: { token: 100, pair: 1, label: 30 } }],
] as const)(
  "a plan of a mixture: any step by itself, in %s that hold the batch, repeated samples too [D-mix-plan]",
  (_, even) => {
    const plan = createPlan({ ...base, even, mixture: parts(2) });
    expect([plan.sampleCount, plan.stepsPerEpoch]).toEqual([60, 8]);
    expect(plan.parts?.map(({ name, perEpoch }) => [name, perEpoch])).toEqual([
      ["a", 20],
      ["b", 40],
    ]);
    const steps = Array.from({ length: 24 }, (_step, i) => plan.step(i));
    const again = createPlan({ ...base, even, mixture: parts(2) });
    for (const i of [23, 0, 17, 5]) expect(again.step(i)).toEqual(steps[i]);
    let isRepeated = false;
    for (const { samples, cells } of steps) {
      isRepeated ||= new Set(samples).size < samples.length;
      expect(Int32Array.from(cells.flat()).toSorted()).toEqual(Int32Array.from(samples).toSorted());
      expect(cells.length).toBeLessThanOrEqual(plan.maxCells);
      for (const cell of cells) {
        const tokens = cell.reduce((sum, sample) => sum + (lengths[sample] ?? 0), 0);
        expect(cell.length === 1 || tokens <= 40).toBe(true);
      }
    }
    expect(isRepeated).toBe(true);
  },
);

test("weights and caps are part of a plan's hash; without a mixture the hash is what it was [D-mix-plan]", () => {
  const hashes = [
    createPlan(base),
    createPlan({ ...base, mixture: parts(2) }),
    createPlan({ ...base, mixture: parts(3) }),
    createPlan({ ...base, mixture: { ...parts(3), partOf: (sample) => (sample < 40 ? 0 : 1) } }),
  ].map(({ hash }) => hash);
  expect(new Set(hashes).size).toBe(4);
  expect(hashes[0]).toBe(createPlan({ ...base, mixture: undefined }).hash);
});
