import { expect, test } from "vitest";
import { attentionWeights, weightedValues } from "./attend.ts";

/** Rows of a key and a value of two numbers each, behind one number that belongs to nothing. */
const data = Float32Array.of(9, 1, 0, 5, 6, 0, 2, 7, 8, -1, 1, 3, 4);
const run = { data, key: 1, value: 3, stride: 4, length: 3 };

test("weights are the softmax of the scaled scores, and their log-sum-exp is returned", () => {
  const p = new Float64Array(4).fill(7);
  const q = Float32Array.of(0, 3, -2);
  const scores = [3, -4, -5].map((score) => score / Math.sqrt(2)); // of (3, −2) with the keys
  const sum = scores.reduce((total, score) => total + Math.exp(score), 0);
  expect(attentionWeights(p, q, 1, run, { d: 2 })).toBeCloseTo(Math.log(sum), 12);
  for (const [j, score] of scores.entries()) expect(p[j]).toBeCloseTo(Math.exp(score) / sum, 12);
  expect(p[3]).toBe(7); // nothing behind the run is touched
});

test("scores of any size give weights: the largest is taken off first", () => {
  const p = new Float64Array(3);
  expect(attentionWeights(p, Float32Array.of(3000, 0), 0, run, { d: 2 })).toBeCloseTo(3000 / Math.sqrt(2), 6);
  expect([...p]).toEqual([1, 0, 0]);
});

test("values are added up by their weights, over what was there before", () => {
  const out = new Float64Array(3).fill(100);
  weightedValues(out, Float64Array.of(0.5, 0.25, 2), run, 2);
  expect([...out]).toEqual([0.5 * 5 + 0.25 * 7 + 2 * 3, 0.5 * 6 + 0.25 * 8 + 2 * 4, 100]);
});
