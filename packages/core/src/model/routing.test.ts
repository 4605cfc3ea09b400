import { expect, test } from "vitest";
import { route, routeBackward } from "./routing.ts";

const size = { count: 4, perToken: 2, isNormalized: false };

test("each token goes to the experts of its largest logits, the lower one if two are equal, by experts ascending", () => {
  const z = Float32Array.of(0, 2, 1, -1, 3, 3, 3, 0, 1, 0, 0, 1);
  const { tokenOf_P, bounds, weight_P } = route(z, size);
  expect([...bounds]).toEqual([0, 2, 4, 5, 6]);
  expect([...tokenOf_P]).toEqual([1, 2, 0, 1, 0, 2]);
  const p = (logits: readonly number[], e: number) =>
    Math.exp(logits[e]) / logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  expect(weight_P[2]).toBeCloseTo(p([0, 2, 1, -1], 1), 6);
  expect(weight_P[5]).toBeCloseTo(p([1, 0, 0, 1], 3), 6);
  const normalized = route(z, { ...size, isNormalized: true }).weight_P;
  expect(normalized[2] + normalized[4]).toBeCloseTo(1, 6);
  expect(normalized[2] / normalized[4]).toBeCloseTo(Math.E, 5);
});

test("a token's choice and weights do not depend on the tokens beside it", () => {
  const z = Float32Array.from({ length: 20 }, (_, i) => Math.sin(3 * i));
  const all = route(z, size);
  for (let t = 0; t < 5; t++) {
    const alone = route(z.subarray(4 * t, 4 * t + 4), size);
    const own = Array.from(all.tokenOf_P.entries()).flatMap(([p, token]) => (token === t ? [all.weight_P[p]] : []));
    expect(own).toEqual([...alone.weight_P]);
  }
});

test("logits that are no numbers choose something, and show as bad weights", () => {
  const { tokenOf_P, weight_P } = route(Float32Array.of(Number.NaN, 1, 2, 0), size);
  expect([...tokenOf_P]).toEqual([0, 0]);
  expect([...weight_P].every(Number.isNaN)).toBe(true);
});

test.each([true, false])("gradients of logits are finite differences, normalized: %s", (isNormalized) => {
  const own = { ...size, isNormalized };
  const z = Float32Array.from({ length: 12 }, (_, i) => Math.fround(1.5 * Math.sin(2 * i + 1)));
  const factors = [0.3, -1.2, 0.7, 2, -0.4, 0.9];
  const loss = (at: Float32Array) => route(at, own).weight_P.reduce((sum, w, p) => sum + factors[p] * w, 0);
  const dz = routeBackward(Float32Array.from(factors), route(z, own), own);
  for (const i of z.keys()) {
    const h = 2 ** -7;
    const slope = (loss(z.with(i, z[i] + h)) - loss(z.with(i, z[i] - h))) / (2 * h);
    expect(dz[i]).toBeCloseTo(slope, 4);
  }
});
