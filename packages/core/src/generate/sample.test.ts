import { expect, test } from "vitest";
import { type SamplingOptions, sampleToken } from "./sample.ts";

const logits = Float32Array.of(1, 3, -2, 2.5, 0, 3);
const draws = 40_000;

/** How often each token is drawn at positions 0 … draws−1. */
function frequencies(options: SamplingOptions): number[] {
  const counts = [...logits].fill(0);
  for (let position = 0; position < draws; position++) counts[sampleToken(logits, position, options)]++;
  return counts.map((count) => count / draws);
}

/** Probabilities at this temperature of the tokens `kept`, 0 for the others. */
function expectedOver(kept: readonly number[], temperature: number): number[] {
  const weights = [...logits].map((z, id) => (kept.includes(id) ? Math.exp(z / temperature) : 0));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / total);
}

test("temperature 0 takes the most likely token, the lowest id of several", () => {
  expect(sampleToken(logits, 0)).toBe(1);
  expect(sampleToken(logits, 7, { temperature: 0, topK: 3, topP: 0.1, seed: 9 })).toBe(1);
  expect(sampleToken(Float32Array.of(-5, -4, -4), 0)).toBe(1);
});

test.each<[what: string, options: SamplingOptions, kept: number[]]>([
  ["all tokens", { temperature: 1 }, [0, 1, 2, 3, 4, 5]],
  ["all tokens, flattened", { temperature: 3 }, [0, 1, 2, 3, 4, 5]],
  ["all tokens, sharpened", { temperature: 0.4 }, [0, 1, 2, 3, 4, 5]],
  ["the three most likely", { temperature: 1, topK: 3 }, [1, 3, 5]],
  ["more tokens than there are", { temperature: 1, topK: 100 }, [0, 1, 2, 3, 4, 5]],
  // Probabilities in order: .37 .37 .22 .05 .02 .002
  ["a nucleus of .7, reached by two", { temperature: 1, topP: 0.7 }, [1, 5]],
  ["a nucleus of .75, reached by three", { temperature: 1, topP: 0.75 }, [1, 3, 5]],
  ["a nucleus among the top three", { temperature: 2, topK: 3, topP: 0.75 }, [1, 3, 5]],
  ["a nucleus smaller than any token", { temperature: 1, topP: 1e-9 }, [1]],
  ["an empty nucleus, which keeps the best", { temperature: 1, topP: 0 }, [1]],
])("frequencies are the probabilities of %s", (_, options, kept) => {
  const found = frequencies({ seed: 11, ...options });
  const expected = expectedOver(kept, options.temperature ?? 0);
  for (const [id, p] of expected.entries()) {
    const deviation = Math.sqrt((p * (1 - p)) / draws); // 0 if p is 0 or 1
    expect(Math.abs(found[id] - p), `token ${id}`).toBeLessThanOrEqual(4 * deviation);
  }
});

test.each([
  [0.25, [0]],
  [0.5, [0, 1]],
  [0.75, [0, 1, 2]],
])("a nucleus of %d that is reached to the bit holds no token more [T-E6]", (topP, kept) => {
  const even = new Float32Array(4); // each has a probability of a quarter, which no rounding touches
  const drawn = Array.from({ length: 400 }, (_, i) => sampleToken(even, i, { temperature: 1, topP }));
  expect([...new Set(drawn)].toSorted((a, b) => a - b)).toEqual(kept);
});

const text = (seed: number) => Array.from({ length: 50 }, (_, i) => sampleToken(logits, i, { temperature: 1, seed }));

test("the choice depends on seed and position only", () => {
  expect(text(3)).toEqual(text(3));
  expect(text(3)).not.toEqual(text(4));
});

test("logits of any size give a token: weights are taken relative to the largest", () => {
  expect(sampleToken(Float32Array.of(-1e30, 1e30), 0, { temperature: 1 })).toBe(1);
  expect(sampleToken(Float32Array.of(5, 5, 5.1), 0, { temperature: 1e-6 })).toBe(2);
});
