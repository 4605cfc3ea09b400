import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { expectSampling } from "../../test/sampling.ts";
import { penalised } from "./penalties.ts";
import { rankTokens } from "./ranked_tokens.ts";
import { sampleToken } from "./sample.ts";

test("tokens and probabilities are those of transformers' processors in their order", () => {
  const values = new URL("../../test/sampling_values.json", import.meta.url);
  expectSampling(JSON.parse(readFileSync(values, "utf8")));
});

test("presence and frequency penalties are subtracted for tokens of the answer alone", () => {
  const z_V = Float32Array.of(1, 2, 3, 4);
  const before = { ids: [0, 1, 2, 2, 1, 2], promptLength: 3 };
  const changed = penalised(z_V, { presencePenalty: 0.5, frequencyPenalty: 0.25 }, before);
  expect([...changed]).toEqual([1, 2 - 0.75, 3 - 1, 4]);
  expect([...z_V], "those of the caller stay").toEqual([1, 2, 3, 4]);
});

test("a bias makes a token certain or impossible", () => {
  const z_V = Float32Array.of(1, 2, 3, 4);
  expect(sampleToken(z_V, 0, { logitBias: { 0: 100 } })).toBe(0);
  expect(sampleToken(z_V, 0, { logitBias: { 3: -100, 2: -100 } })).toBe(1);
});

/** The same choice by sorting everything. */
function bySorting(z_V: Float32Array, largest: number, temperature: number, share: number): number {
  const order = Array.from(z_V.keys()).toSorted((a, b) => z_V[b] - z_V[a] || a - b);
  const weights = order.map((id) => Math.exp((z_V[id] - largest) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let left = share * total;
  for (const [i, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return order[i];
  }
  return order[order.length - 1];
}

test.each<[string, (i: number) => number]>([
  ["spread", (i) => 8 * Math.sin(12.9898 * i)],
  ["all equal", () => -3],
  ["equal but for one", (i) => (i === 700 ? 5 : 1)],
  ["with one far below", (i) => (i === 3 ? -1e30 : Math.sin(i))],
  ["with impossible ones", (i) => (i % 3 === 0 ? Number.NEGATIVE_INFINITY : Math.cos(7 * i))],
  ["with one far above", (i) => (i === 3 ? 1e30 : Math.sin(i))],
  ["in two heaps", (i) => (i % 2) * 40 + Math.sin(i) / 1e3],
])("the token at a share of the weights is that of sorted logits, %s", (_, of) => {
  const z_V = Float32Array.from({ length: 2000 }, (__, i) => of(i));
  const largest = Math.max(...z_V);
  for (const temperature of [0.3, 1, 50]) {
    const ranked = rankTokens(z_V, largest, temperature);
    for (let i = 0; i < 60; i++) {
      const share = (i + 0.123) / 60;
      expect(ranked.at(share)).toBe(bySorting(z_V, largest, temperature, share));
    }
  }
});

test("logits that are not numbers are refused", () => {
  const wrong = "Cannot choose a token: ";
  expect(() => sampleToken(Float32Array.of(1, Number.NaN), 0)).toThrow(`${wrong}the logit of token 1 is NaN`);
  expect(() => sampleToken(Float32Array.of(1, Infinity), 0)).toThrow(`${wrong}the largest logit is Infinity`);
  expect(() => sampleToken(Float32Array.of(-Infinity), 0)).toThrow(`${wrong}the largest logit is -Infinity`);
});
