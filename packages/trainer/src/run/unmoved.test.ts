import { adapterLayout } from "@zerogate/core";
import { expect, test } from "vitest";
import { tableOfTwoGroups } from "../../../run-files/test/two_groups.ts";
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

test("parts of any sort are named, those without a layer by their own name", () => {
  const two = tableOfTwoGroups();
  expect(unmovedParts(two, new Float32Array(7), new Float32Array(7).fill(1, 0, 4))).toEqual(["all biases"]);
  const three = two.flatMap((part) =>
    part.layer === undefined ? [part, { ...part, name: "head", offset: 7 }] : [part],
  );
  const moved = Float32Array.of(0, 1, 0, 1, 0, 1, 0, 0, 0, 0);
  expect(unmovedParts(three, new Float32Array(10), moved)).toEqual(["head"]);
});
