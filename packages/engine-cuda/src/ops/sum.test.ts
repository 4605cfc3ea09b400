/** Fixed-point sums on the GPU against core's: bits, limits, and what cannot be added. */
import { addFixedPoint, createFixedPointSum, uniform } from "@zerogate/core/training";
import { afterAll, describe, expect, test, vi } from "vitest";
import { absent, fakeEnv } from "../../test/fake.ts";
import { type CudaEngine, createEngine } from "../engine.ts";

for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);

let opened: CudaEngine | undefined;
const ours = (...args: Parameters<typeof addFixedPoint>) => {
  opened ??= createEngine({ tune: false });
  if (!opened.addFixedPoint) throw new Error("the engine has no sums");
  return opened.addFixedPoint(...args);
};
afterAll(() => opened?.close());

describe.skipIf(absent !== "")(`fixed-point sums${absent}`, () => {
  test("numbers of all magnitudes, carries and signs add to the bits of core's", () => {
    const length = 1500;
    const [here, core] = [createFixedPointSum(length), createFixedPointSum(length)];
    for (let round = 0; round < 6; round++) {
      const gradient = Float32Array.from({ length }, (_, i) => {
        const magnitude = 2 ** (60 * uniform(1, i, round) - 52);
        return (uniform(2, i, round) < 0.5 ? -1 : 1) * magnitude * (1 + uniform(3, i, round));
      });
      // Halves of a unit, which tie.
      for (let i = 0; i < 40; i++) gradient[i] = (i - 20.5) * 2 ** -48;
      expect(ours(here, gradient)).toBe(addFixedPoint(core, gradient));
      expect(here).toEqual(core);
    }
  });

  test("what is not finite or not below the limit adds 0 and is counted", () => {
    const below = 512 - 2 ** -15; // the largest float32 below 512
    const edges = [Number.NaN, Infinity, -Infinity, 512, -512, below, -below, 0, -0, 1e-45, 3e38, 64, -64];
    const gradient = Float32Array.from({ length: 700 }, (_, i) => edges[i % edges.length] ?? 0);
    for (const limit of [512, 64, 2 ** -20]) {
      const [here, core] = [createFixedPointSum(700), createFixedPointSum(700)];
      for (let round = 0; round < 3; round++) {
        expect(ours(here, gradient, limit), `limit ${limit}`).toBe(addFixedPoint(core, gradient, limit));
      }
      expect(here).toEqual(core);
    }
    expect(() => ours(createFixedPointSum(2), new Float32Array(3))).toThrow("2 numbers there, 3 are needed");
    expect(() => ours(createFixedPointSum(3), new Float32Array(3), 513)).toThrow("limit is 513");
  });
});
