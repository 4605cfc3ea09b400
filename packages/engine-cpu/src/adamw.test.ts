import { adamWStep, createAdamWState } from "@zerogate/core/training";
import { expect, test } from "vitest";
import { absent, levels } from "../test/levels.ts";
import { createAdamWUpdate } from "./adamw.ts";
import { loadAddon } from "./addon.ts";

/** Float32 numbers of every magnitude whose square is finite: random bits. */
function randomFloats(length: number, seed: number): Float32Array {
  let state = seed;
  const bits = Uint32Array.from({ length }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0));
  return new Float32Array(bits.buffer).map((value) => (Math.abs(value) < 1e18 ? value : 0));
}

/** Magnitudes of training, so that most numbers take part in most operations. */
const ordinary = (length: number, seed: number) =>
  randomFloats(length, seed).map((value) => value / 2 ** (Math.floor(Math.log2(Math.abs(value) || 1)) + 8));

function atLevel<T>(level: string, make: () => T): T {
  const before = process.env["ZEROGATE_CPU_LEVEL"];
  process.env["ZEROGATE_CPU_LEVEL"] = level;
  try {
    return make();
  } finally {
    if (before === undefined) delete process.env["ZEROGATE_CPU_LEVEL"];
    else process.env["ZEROGATE_CPU_LEVEL"] = before;
  }
}

test.skipIf(absent !== "").each(levels.length > 0 ? levels : ["none"])(
  `at level %s fifty steps have the bits of core's, ranges and odd ends included${absent}`,
  (level) => {
    const update = atLevel(level, createAdamWUpdate);
    const length = 1003;
    for (const [seed, numbers] of [randomFloats, ordinary].entries()) {
      const ours = { params: numbers(length, seed + 1), state: createAdamWState(length) };
      const theirs = { params: ours.params.slice(), state: createAdamWState(length) };
      const plain = { learningRateFactor: 1, group: 0 };
      const ranges = [
        { from: 0, to: 1, weightDecay: 0.1, ...plain },
        { from: 1, to: 500, weightDecay: 0, ...plain },
        { from: 500, to: length, weightDecay: 0.02, ...plain },
      ];
      const options = { beta1: 0.9, beta2: 0.95, eps: 1e-8, ranges };
      for (let step = 0; step < 50; step++) {
        const gradient = numbers(length, 100 + step);
        if (step % 7 === 0) gradient.fill(0, 0, 40);
        adamWStep(ours.params, gradient, ours.state, 1e-3 / (step + 1), options, update);
        adamWStep(theirs.params, gradient, theirs.state, 1e-3 / (step + 1), options);
        for (const [a, b] of [
          [ours.params, theirs.params],
          [ours.state.m, theirs.state.m],
          [ours.state.v, theirs.state.v],
        ] as const) {
          expect(Buffer.compare(Buffer.from(a.buffer), Buffer.from(b.buffer))).toBe(0);
        }
      }
      expect(ours.state.t).toEqual([50]);
    }
  },
);

test.skipIf(absent !== "")(`wrong lengths and ranges are refused${absent}`, () => {
  const update = createAdamWUpdate();
  const four = () => new Float32Array(4);
  const arrays = { params: four(), m: four(), v: four(), gradient: four() };
  const size = { from: 0, to: 4, keep: 1, stepSize: 1, rootCorrection: 1, beta1: 0.9, beta2: 0.9, eps: 1 };
  expect(() => update({ ...arrays, v: new Float32Array(3) }, size)).toThrow("v has 3 numbers, 4 are needed");
  for (const range of [{ to: 5 }, { from: 3, to: 2 }, { from: -1 }]) {
    expect(() => update(arrays, { ...size, ...range })).toThrow(/^Cannot take an AdamW step: /);
  }
  expect(() => loadAddon().addon.adamW(undefined as never, four())).toThrow(TypeError);
});
