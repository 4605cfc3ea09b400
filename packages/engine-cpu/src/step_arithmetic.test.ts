import { createHash } from "node:crypto";
import {
  adamWStep,
  clipByGlobalNorm,
  createAdamWState,
  plainArithmetic,
  type StepArithmetic,
} from "@zerogate/core/training";
import { expect, test } from "vitest";
import { absent, levels } from "../test/levels.ts";
import { loadAddon } from "./addon.ts";
import { createStepArithmetic } from "./step_arithmetic.ts";

/** Float32 numbers of every magnitude whose square is finite: random bits. */
function randomFloats(length: number, seed: number): Float32Array {
  let state = seed;
  const bits = Uint32Array.from({ length }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0));
  return new Float32Array(bits.buffer).map((value) => (Math.abs(value) < 1e18 ? value : 0));
}

/** Magnitudes of training, so that most numbers take part in most operations. */
const ordinary = (length: number, seed: number) =>
  randomFloats(length, seed).map((value) => value / 2 ** (Math.floor(Math.log2(Math.abs(value) || 1)) + 8));

/** Sums of every magnitude, and those that float32 and float64 round where a second rounding would show. */
function randomSums(numbers: number, seed: number): Int32Array {
  let state = seed;
  const words = Int32Array.from({ length: 2 * numbers }, (_, w) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return w % 2 === 0 ? state : (state | 0) >> ((w >> 1) % 32);
  });
  const sums = new BigInt64Array(words.buffer);
  for (const [i, shift] of [0n, 5n, 36n].entries()) sums[i] = (1n << 60n) + (1n << shift) + 1n;
  return words;
}

const at = (level: string, threads: number) => {
  const before = process.env["ZEROGATE_CPU_LEVEL"];
  process.env["ZEROGATE_CPU_LEVEL"] = level;
  try {
    return createStepArithmetic(threads);
  } finally {
    if (before === undefined) delete process.env["ZEROGATE_CPU_LEVEL"];
    else process.env["ZEROGATE_CPU_LEVEL"] = before;
  }
};
const all = (levels.length > 0 ? levels : ["none"]).flatMap((level) => [1, 3].map((threads) => [level, threads]));

const LENGTH = 40_003;
const ranges = [
  { from: 0, to: 1, weightDecay: 0.1, learningRateFactor: 1, group: 0 },
  { from: 1, to: 500, weightDecay: 0, learningRateFactor: 3, group: 1 },
  { from: 500, to: LENGTH, weightDecay: 0.02, learningRateFactor: 1, group: 0 },
];

/** Takes fifty steps and yields parameters, first and second moments after each, as bytes. */
function* fiftySteps(
  numbers: (length: number, seed: number) => Float32Array,
  seed: number,
  updateRange?: StepArithmetic["updateRange"],
): Generator<Buffer> {
  const params = numbers(LENGTH, seed);
  const state = createAdamWState(LENGTH, 2);
  for (let step = 0; step < 50; step++) {
    // Every other step leaves a group out: its numbers, moments and count stay.
    const taken = step % 2 === 0 ? ranges : ranges.filter(({ group }) => group === 0);
    const options = { beta1: 0.9, beta2: 0.95, eps: 1e-8, ranges: taken };
    const gradient = numbers(LENGTH, 100 + step);
    if (step % 7 === 0) gradient.fill(0, 0, 40);
    adamWStep(params, gradient, state, 1e-3 / (step + 1), options, updateRange);
    yield Buffer.concat([params, state.m, state.v].map(({ buffer }) => new Uint8Array(buffer)));
  }
  expect(state.t).toEqual([50, 25]);
}

const kinds = [randomFloats, ordinary];
const hashOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
/** Of core's steps, computed once for all levels. */
const hashes = kinds.map((numbers, i) => Array.from(fiftySteps(numbers, i + 1), hashOf));

test.skipIf(absent !== "").each(all as [string, number][])(
  `at level %s with %i threads fifty steps have the bits of core's, ranges and odd ends included${absent}`,
  (level, threads) => {
    const { updateRange } = at(level, threads);
    for (const [i, numbers] of kinds.entries()) {
      expect(Array.from(fiftySteps(numbers, i + 1, updateRange), hashOf)).toEqual(hashes[i]);
    }
  },
);

const SUM_LENGTH = 131_075;
/** Reading may add to the first sum. */
const toRead = ([first, ...others]: readonly Int32Array[]) => [first.slice(), ...others];
/** What core makes of n sums, computed once for all levels. */
const expectedOf = [1, 2, 5, 16, 17, 40].map((count) => {
  const sums = Array.from({ length: count }, (_, s) => randomSums(SUM_LENGTH, 10 * count + s));
  const total = new Int32Array(2 * SUM_LENGTH);
  plainArithmetic.addSums(total, sums);
  const floats = new Float32Array(SUM_LENGTH);
  plainArithmetic.readSums(floats, toRead(sums));
  const read = hashOf(new Uint8Array(floats.buffer));
  const norm = plainArithmetic.globalNorm(floats);
  const clippedBy = clipByGlobalNorm(floats, 0.7);
  return { sums, total: hashOf(new Uint8Array(total.buffer)), read, norm, clippedBy, clipped: floats };
});

test.skipIf(absent !== "").each(all as [string, number][])(
  `at level %s with %i threads sums, norm and clipping have the bits of core's, for any number of sums${absent}`,
  (level, threads) => {
    const native = at(level, threads);
    for (const expected of expectedOf) {
      const total = new Int32Array(2 * SUM_LENGTH).fill(9);
      native.addSums(total, expected.sums);
      expect(hashOf(new Uint8Array(total.buffer))).toBe(expected.total);
      const out = new Float32Array(SUM_LENGTH);
      native.readSums(out, toRead(expected.sums));
      expect(hashOf(new Uint8Array(out.buffer))).toBe(expected.read);
      expect(native.globalNorm(out)).toBe(expected.norm);
      expect(clipByGlobalNorm(out, 0.7, native)).toBe(expected.clippedBy);
      expect(Buffer.compare(Buffer.from(out.buffer), Buffer.from(expected.clipped.buffer))).toBe(0);
    }
    // Into one of them, in any place.
    for (const place of [0, 2, 20]) {
      const sums = Array.from({ length: 21 }, (_, s) => randomSums(100, s));
      const copies = sums.map((sum) => sum.slice());
      native.addSums(sums[place], sums);
      plainArithmetic.addSums(copies[place], copies);
      expect(sums[place]).toEqual(copies[place]);
    }
  },
);

test.skipIf(absent !== "")(`wrong lengths, ranges and numbers of arguments are refused${absent}`, () => {
  const { updateRange, addSums, readSums, scale } = createStepArithmetic(1);
  const four = () => new Float32Array(4);
  const arrays = { params: four(), m: four(), v: four(), gradient: four() };
  const size = { from: 0, to: 4, keep: 1, stepSize: 1, rootCorrection: 1, beta1: 0.9, beta2: 0.9, eps: 1 };
  expect(() => updateRange({ ...arrays, v: new Float32Array(3) }, size)).toThrow("v has 3 numbers, 4 are needed");
  for (const range of [{ to: 5 }, { from: 3, to: 2 }, { from: -1 }]) {
    expect(() => updateRange(arrays, { ...size, ...range })).toThrow(/^Cannot take an AdamW step: /);
  }
  const words = (count: number) => new Int32Array(count);
  expect(() => addSums(words(4), [words(4), words(6)])).toThrow("Cannot add sums: a sum has 6 numbers, 4 are needed");
  expect(() => addSums(words(3), [words(3)])).toThrow("Cannot add sums: there are 3 words, an even number is needed");
  expect(() => addSums(words(4), [])).toThrow("Cannot add sums: there are none");
  expect(() => readSums(four(), [words(4)])).toThrow("Cannot read sums: a sum has 4 numbers, 8 are needed");
  expect(() => scale(four(), "2" as never)).toThrow("Cannot scale numbers: factor is not a number");
  const { addon } = loadAddon();
  const engine = addon.open(addon.levels().at(-1)?.name ?? "", 1, false);
  const many = Array.from({ length: 30 }, () => words(2));
  expect(() => addon.addSums(engine, words(2), ...many)).toThrow("Cannot add sums: there are more than 26 in one call");
  expect(() => addon.adamW(undefined as never, four())).toThrow(TypeError);
  expect(() => addon.readSums(undefined as never, four())).toThrow(TypeError);
});
