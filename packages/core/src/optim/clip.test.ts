import { expect, test } from "vitest";
import { clipByGlobalNorm, globalNorm } from "./clip.ts";

test("a gradient above the norm is scaled as torch does, and the norm before is returned", () => {
  // torch.nn.utils.clip_grad_norm_ on the same numbers.
  const gradient = Float32Array.of(3, -4, 12, 0.5);
  expect(clipByGlobalNorm(gradient, 1)).toBeCloseTo(13.009612083435059, 5);
  for (const [i, expected] of [
    0.23059871792793274, -0.30746495723724365, 0.922394871711731, 0.03843311965465546,
  ].entries()) {
    expect(gradient[i]).toBeCloseTo(expected, 7);
  }
});

test("a gradient within the norm keeps its bits", () => {
  const gradient = Float32Array.of(0.1, -0.2);
  expect(clipByGlobalNorm(gradient, 1)).toBe(globalNorm(gradient));
  expect(gradient).toEqual(Float32Array.of(0.1, -0.2));
});

test("the norm of float32 numbers does not overflow", () => {
  expect(globalNorm(Float32Array.of(1.5 * 2 ** 127, -(2 ** 128 / 2)))).toBe(Math.sqrt(1.5 ** 2 + 1) * 2 ** 127);
});
