import { expect, test } from "vitest";
import { tinyConfig } from "../../test/tiny_model.ts";
import { adapterLayout, layerParts } from "./kinds/adaption_prompt.ts";
import { initParameters, parameterTable, partAt, partNumbers } from "./parameters.ts";

const shape = { promptLength: 400, adaptedLayers: 2, gateSharing: "per-head", gateActivation: "none" } as const;

test("fresh prompts have mean 0 and standard deviation 1, fresh gates are 0 [L3]", () => {
  const layout = adapterLayout(shape, tinyConfig());
  const params = initParameters(layout.table, 7);
  expect(params).toHaveLength(layout.length);
  const prompts = layerParts(layout).flatMap(({ prompt }) => [...partNumbers(prompt, params)]);
  const mean = prompts.reduce((a, b) => a + b, 0) / prompts.length;
  const variance = prompts.reduce((a, b) => a + (b - mean) ** 2, 0) / prompts.length;
  const sigma = 1 / Math.sqrt(prompts.length); // of the mean; that of the variance is √2 larger
  expect(Math.abs(mean)).toBeLessThan(4 * sigma);
  expect(Math.abs(variance - 1)).toBeLessThan(4 * Math.SQRT2 * sigma);
  for (const { gate } of layerParts(layout)) expect([...partNumbers(gate, params)]).toEqual([0, 0, 0, 0]);
});

test("a layer's prompt depends on seed and layer only, not on how many layers are adapted or how gates are shared", () => {
  const two = adapterLayout(shape, tinyConfig());
  const three = adapterLayout({ ...shape, adaptedLayers: 3, gateSharing: "scalar" }, tinyConfig());
  const [a, b] = [initParameters(two.table, 7), initParameters(three.table, 7)];
  const top = (params: Float32Array, layout: typeof two) => {
    const last = layerParts(layout).at(-1);
    return last && partNumbers(last.prompt, params);
  };
  expect(top(a, two)).toEqual(top(b, three));
  expect(top(initParameters(two.table, 8), two)).not.toEqual(top(a, two));
});

test("no two parts of a table may share a name, a place in a file or a stream of random numbers", () => {
  const [prompt, gate] = adapterLayout(shape, tinyConfig()).table;
  const other = { name: "other", fileName: "other", init: { normal: 1, stream: 99 } } as const;
  expect(parameterTable([prompt, { ...prompt, ...other }]).map(({ offset }) => offset)).toEqual([0, 4800]);
  for (const [same, what] of [
    [{ name: prompt.name }, "the name layers.1.prompt"],
    [{ fileName: prompt.fileName }, `the place adapter_model.safetensors ${prompt.fileName}`],
    [{ init: prompt.init }, "the stream 1"],
  ] as const) {
    expect(() => parameterTable([prompt, gate, { ...prompt, ...other, ...same }])).toThrow(
      `Cannot make a table of parts: ${what} of ${"name" in same ? same.name : "other"} is another part's too`,
    );
  }
  const elsewhere = { ...prompt, name: "other", init: "zeros", file: "other.safetensors" } as const;
  expect(parameterTable([prompt, elsewhere])).toHaveLength(2);
});

test("a number outside of a table belongs to no part, and one inside to one", () => {
  const { table, length } = adapterLayout(shape, tinyConfig());
  expect(partAt(table, 0).name).toBe("layers.1.prompt");
  expect(partAt(table, length - 1).name).toBe("layers.2.gate");
  for (const index of [-1, length]) expect(() => partAt(table, index)).toThrow(RangeError);
});
