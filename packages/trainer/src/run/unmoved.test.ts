import { type AdapterLayout, initAdapter } from "@zerogate/core";
import { expect, test } from "vitest";
import { unmovedParts } from "./unmoved.ts";

/** Layers 3, 4 and 5 with two numbers of prompt each and two gates. */
const layout: AdapterLayout = {
  promptLength: 1,
  adaptedLayers: 3,
  gateSharing: "per-head",
  gateActivation: "none",
  hiddenSize: 2,
  heads: 2,
  gateLength: 2,
  places: [3, 4, 5].map((layer, i) => ({ layer, prompt: 4 * i, gate: 4 * i + 2 })),
  modules: { root: "model", layers: "layers", attention: "self_attn" },
  outputBias: undefined,
  length: 12,
};

test.each([
  { moved: [], expected: ["all prompts", "all gates"] },
  { moved: [2, 7, 10], expected: ["all prompts"] },
  { moved: [0, 2, 3, 7, 9, 10], expected: ["the prompts of layer 4"] },
  { moved: [1, 4, 8, 6], expected: ["the gates of layers 3, 5"] },
  { moved: [0, 2, 4, 6, 8, 10], expected: [] },
])("after numbers $moved have moved, unmoved are $expected", ({ moved, expected }) => {
  const before = initAdapter(layout, 1);
  const after = before.slice();
  for (const i of moved) after[i] = (after[i] ?? 0) + 1e-3;
  expect(unmovedParts(layout, before, after)).toEqual(expected);
});
