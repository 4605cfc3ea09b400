import { expect, test } from "vitest";
import { unmovedParts } from "./unmoved.ts";

/** Layers 3, 4 and 5 with two numbers of prompt each and two gates. */
const layout = { gateLength: 2, places: [3, 4, 5].map((layer, i) => ({ layer, prompt: 4 * i, gate: 4 * i + 2 })) };

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
  expect(unmovedParts(layout, before, after)).toEqual(expected);
});
