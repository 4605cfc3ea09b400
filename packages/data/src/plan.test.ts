import fc from "fast-check";
import { expect, test } from "vitest";
import { cutCells } from "./cells.ts";
import { createPlan, type PlanInput } from "./plan.ts";

/** Any data and any sizes; sample 0 always has a target, so that there is something to plan. */
const anyInput: fc.Arbitrary<PlanInput> = fc
  .record({
    sizes: fc.array(fc.record({ length: fc.integer({ min: 2, max: 90 }), labelled: fc.nat(3) }), {
      minLength: 1,
      maxLength: 60,
    }),
    seed: fc.maxSafeInteger(),
    batchSize: fc.integer({ min: 1, max: 20 }),
    cellTokens: fc.integer({ min: 1, max: 200 }),
  })
  .map(({ sizes, ...rest }) => ({
    ...rest,
    lengths: Int32Array.from(sizes, ({ length }) => length),
    labelled: Int32Array.from(sizes, ({ labelled }, i) => (i === 0 ? 1 : labelled)),
    samples: sizes.map((_, i) => i),
  }));

const ascending = (numbers: Iterable<number>) => [...numbers].toSorted((a, b) => a - b);

test("an epoch holds every sample that has a target exactly once, and no other", () => {
  fc.assert(
    fc.property(anyInput, fc.nat(3), (input, epoch) => {
      const plan = createPlan(input);
      const steps = Array.from({ length: plan.stepsPerEpoch }, (_, s) => plan.step(epoch * plan.stepsPerEpoch + s));
      expect(steps.every((step) => step.epoch === epoch)).toBe(true);
      const samples = steps.flatMap((step) => step.samples);
      const expected = [...input.samples].filter((sample) => input.labelled[sample]! > 0);
      expect(ascending(samples)).toEqual(expected);
      expect(plan.sampleCount).toBe(expected.length);
    }),
  );
});

test("the cells of a step cover its batch exactly and keep to cellTokens, but for one sample that is longer", () => {
  fc.assert(
    fc.property(anyInput, fc.nat(50), (input, s) => {
      const { samples, cells, tokens, labelledTokens } = createPlan(input).step(s);
      expect(samples.length).toBeLessThanOrEqual(input.batchSize);
      expect(ascending(cells.flat())).toEqual(ascending(samples));
      const lengthOf = (cell: readonly number[]) => cell.reduce((sum, sample) => sum + input.lengths[sample]!, 0);
      for (const cell of cells) expect(cell.length === 1 || lengthOf(cell) <= input.cellTokens).toBe(true);
      expect(tokens).toBe(lengthOf(samples));
      expect(labelledTokens).toBe(samples.reduce((sum, sample) => sum + input.labelled[sample]!, 0));
    }),
  );
});

test("a step is the same whether it is reached by walking, by seeking or by going back", () => {
  fc.assert(
    fc.property(anyInput, fc.array(fc.nat(40), { minLength: 1, maxLength: 5 }), (input, sought) => {
      const walked = createPlan(input);
      const walk = Array.from({ length: 41 }, (_, s) => walked.step(s));
      for (const s of sought) {
        expect(createPlan(input).step(s)).toEqual(walk[s]);
        expect(walked.step(s)).toEqual(walk[s]);
      }
    }),
    { numRuns: 30 },
  );
});

const fifty: PlanInput = {
  lengths: Int32Array.from({ length: 50 }, (_, i) => 5 + ((i * 7) % 13)),
  labelled: new Int32Array(50).fill(2),
  samples: Array.from({ length: 50 }, (_, i) => i),
  seed: 1,
  batchSize: 8,
  cellTokens: 40,
};

test("epochs and seeds have orders of their own", () => {
  const plan = createPlan(fifty);
  const orders = [plan.step(0), plan.step(plan.stepsPerEpoch), createPlan({ ...fifty, seed: 2 }).step(0)];
  expect(new Set(orders.map(({ samples }) => samples.join())).size).toBe(3);
});

test("a known plan stays as it is: checkpoints of earlier versions must resume on the same steps", () => {
  const plan = createPlan(fifty);
  expect(plan.step(9)).toMatchInlineSnapshot(`
    {
      "cells": [
        [
          24,
          9,
          39,
        ],
        [
          20,
          42,
          40,
        ],
        [
          47,
          6,
        ],
      ],
      "epoch": 1,
      "labelledTokens": 16,
      "samples": [
        9,
        6,
        40,
        39,
        24,
        20,
        42,
        47,
      ],
      "step": 9,
      "tokens": 95,
    }
  `);
  expect(plan.hash).toMatchInlineSnapshot(`"b539b407d7b3ba48e323d8a659689a90698a3a1f106426aabc3d55f0ae995257"`);
});

test("the last batch of an epoch is kept when it is not full, or dropped with dropLast", () => {
  const kept = createPlan(fifty);
  expect([kept.stepsPerEpoch, kept.step(6).samples.length, kept.step(7).epoch]).toEqual([7, 2, 1]);
  const dropped = createPlan({ ...fifty, dropLast: true });
  expect([dropped.stepsPerEpoch, dropped.step(5).samples.length, dropped.step(6).epoch]).toEqual([6, 8, 1]);
});

test("the hash changes with everything that the plan depends on", () => {
  const lengths = fifty.lengths.with(3, 99);
  const labelled = fifty.labelled.with(3, 1);
  const others = [{}, { seed: 2 }, { batchSize: 9 }, { cellTokens: 41 }, { dropLast: true }, { lengths }, { labelled }];
  const changed = [...others, { samples: fifty.samples.slice(1) }].map(
    (change) => createPlan({ ...fifty, ...change }).hash,
  );
  expect(new Set(changed).size).toBe(8);
});

test("cells are cut longest first into the first cell with room, ties by sample index, for any order of the batch", () => {
  const lengths = Int32Array.of(30, 50, 70, 50, 200, 20);
  const cells = [[4], [2, 0], [1, 3]]; // 200 is longer than a cell; 70 + 30; 50 + 50; and 20 finds no room
  expect(cutCells([0, 1, 2, 3, 4, 5], lengths, 100)).toEqual([...cells, [5]]);
  expect(cutCells([5, 3, 4, 1, 0, 2], lengths, 100)).toEqual([...cells, [5]]);
});

test("what cannot be planned is refused, with the numbers", () => {
  const bare = { ...fifty, labelled: new Int32Array(50) };
  expect(() => createPlan(bare)).toThrow("Cannot plan an epoch: 0 of 50 samples have targets, at least 1 is needed");
  expect(() => createPlan({ ...fifty, batchSize: 51, dropLast: true })).toThrow(
    "Cannot plan an epoch: 50 of 50 samples have targets, 51 are needed (batchSize, with dropLast)",
  );
  expect(() => createPlan({ ...fifty, batchSize: 0 })).toThrow(
    "Cannot plan with batchSize 0: an integer from 1 on is needed",
  );
  expect(() => createPlan({ ...fifty, samples: [1, 50] })).toThrow(
    "Cannot plan with sample 50: the token set has 50 samples",
  );
  expect(() => createPlan({ ...fifty, samples: [1, 1] })).toThrow("Cannot plan with sample 1: it is listed twice");
  for (const size of [0, -1, 1.5])
    expect(() => createPlan({ ...fifty, cellTokens: size })).toThrow(`Cannot plan with cellTokens ${size}: an integer`);
  expect(() => createPlan({ ...fifty, labelled: fifty.labelled.slice(1) })).toThrow(
    "Cannot plan with 50 lengths and 49 label counts: one of each a sample is needed",
  );
  expect(createPlan({ ...fifty, batchSize: 1, cellTokens: 1 }).stepsPerEpoch).toBe(50);
  expect(createPlan({ ...fifty, batchSize: 50, dropLast: true }).stepsPerEpoch).toBe(1);
  expect(() => createPlan(fifty).step(0.5)).toThrow("Cannot plan step 0.5");
  expect(() => createPlan(fifty).step(-1)).toThrow("Cannot plan step -1: an integer from 0 on is needed");
});

test("a known plan of even cells stays as it is, and each of its parts is in its hash", () => {
  const cost = { token: 100, pair: 1, label: 30 };
  const plan = createPlan({ ...fifty, even: { multiple: 4, cost } });
  expect(plan.step(9).cells).toMatchInlineSnapshot(`
    [
      [
        42,
        40,
      ],
      [
        9,
        6,
      ],
      [
        20,
        47,
      ],
      [
        24,
        39,
      ],
    ]
  `);
  expect(plan.hash).toMatchInlineSnapshot(`"b0267d7bee7b456d6fcbb13268d123f3d530a7dae8805e45edef3169b6e98fa9"`);
  const others = [
    fifty,
    { ...fifty, even: { multiple: 5, cost } },
    ...Object.keys(cost).map((part) => ({ ...fifty, even: { multiple: 4, cost: { ...cost, [part]: 2 } } })),
  ];
  expect(new Set([plan, ...others.map(createPlan)].map(({ hash }) => hash)).size).toBe(6);
  expect(() => createPlan({ ...fifty, even: { multiple: 0, cost } })).toThrow("multiple 0");
});
