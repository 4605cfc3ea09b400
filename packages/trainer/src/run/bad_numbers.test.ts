import { adapterLayout } from "@zerogate/core";
import { expect, test } from "vitest";
import { tableOfTwoGroups } from "../../../run-files/test/two_groups.ts";
import { parameterName } from "./bad_numbers.ts";

test("every place of the flat vector has a name, and no other", () => {
  const model = { modelType: "llama", layers: 4, hiddenSize: 3, heads: 2, outputBias: false } as const;
  const shape = { promptLength: 2, adaptedLayers: 2, gateSharing: "per-head", gateActivation: "none" } as const;
  const layout = adapterLayout(shape, model);
  const names = Array.from({ length: layout.length }, (_, i) => parameterName(layout.table, i));
  const prompts = (layer: number) =>
    [0, 1].flatMap((row) => [0, 1, 2].map((column) => `prompt ${row}, column ${column} of layer ${layer}`));
  const gates = (layer: number) => [0, 1].map((head) => `gate ${head} of layer ${layer}`);
  expect(names).toEqual([...prompts(2), ...gates(2), ...prompts(3), ...gates(3)]);
  const scalar = adapterLayout({ ...shape, gateSharing: "scalar" }, model);
  expect(parameterName(scalar.table, 6)).toBe("the gate of layer 2");
  expect(() => parameterName(layout.table, layout.length)).toThrow(RangeError);
  expect(() => parameterName(layout.table, -1)).toThrow(RangeError);
  expect([0, 3, 4, 6].map((i) => parameterName(tableOfTwoGroups(), i))).toEqual([
    "prompt 0, column 0 of layer 2",
    "gate 1 of layer 2",
    "bias 0",
    "bias 2",
  ]);
});
