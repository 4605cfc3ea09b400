import { adapterLayout } from "@zerogate/core";
import { expect, test } from "vitest";
import { unmovedParts } from "./unmoved.ts";

/** Layers 3, 4 and 5 with two numbers of prompt each and two gates. */
const shape = { promptLength: 1, adaptedLayers: 3, gateSharing: "per-head", gateActivation: "none" } as const;
const base = { modelType: "llama", layers: 6, hiddenSize: 2, heads: 2, outputBias: false } as const;
const { table } = adapterLayout(shape, base);

test.each([
  { moved: [], expected: ["all prompts", "all gates"] },
  { moved: [2, 7, 10], expected: ["all prompts"] },
  { moved: [0, 2, 3, 7, 9, 10], expected: ["the prompts of layer 4"] },
  { moved: [1, 4, 8, 6], expected: ["the gates of layers 3, 5"] },
  { moved: [0, 2, 4, 6, 8, 10], expected: [] },
])("after numbers $moved have moved, unmoved are $expected", ({ moved, expected }) => {
  const before = Float32Array.from({ length: 12 }, (_, i) => i);
  const after = before.slice();
  for (const i of moved) after[i] = (after[i] ?? 0) + 1e-3;
  expect(unmovedParts(table, before, after)).toEqual(expected);
});
