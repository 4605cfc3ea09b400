import { expect, test } from "vitest";
import type { TensorEntry } from "../../formats/safetensors.ts";
import { adapterTensors, checkAdapterKeys, compareAdapterKeys } from "./peft.ts";
import { storedLayout } from "./stored_layout.ts";

type Entries = ReadonlyMap<string, Pick<TensorEntry, "dtype" | "shape">>;
const plain = { gateSharing: "scalar", gateActivation: "none" } as const;

/** Prompts of three rows of eight numbers and their gates, in these modules. */
const file = (...modules: string[]): Entries =>
  new Map(
    modules.flatMap((module) => [
      [`base_model.model.${module}.adaption_prompt`, { dtype: "F32", shape: [1, 3, 8] }],
      [`base_model.model.${module}.adaption_gate`, { dtype: "F32", shape: [1] }],
    ]),
  );

// No family of these names is known: a layout takes them from the file and guesses nothing.
test.each([
  ["model", "layers", "self_attn"],
  ["transformer", "h", "attn"],
  ["backbone", "blocks", "mixer"],
  ["model.language_model", "layers", "self_attn"],
])("modules are called as in the file: %s, %s, %s", (root, layers, attention) => {
  const entries = file(`${root}.${layers}.4.${attention}`, `${root}.${layers}.5.${attention}`);
  const layout = storedLayout(entries, plain, "x", 4);
  expect(layout.base).toEqual({
    layers: 6,
    hiddenSize: 8,
    heads: 4,
    modules: { root, layers, attention },
    hasOutputBias: false,
  });
  expect(() => checkAdapterKeys(compareAdapterKeys(entries, layout), layout, "x")).not.toThrow();
  expect([...adapterTensors(layout, new Float32Array(layout.length)).keys()]).toEqual([...entries.keys()]);
});

test("a file of a base without a head names no root, and is written without one again", () => {
  const entries = file("h.0.attn", "h.1.attn");
  const layout = storedLayout(entries, plain, "x");
  expect(layout.base.modules).toEqual({ root: "", layers: "h", attention: "attn" });
  for (const module of ["causal-lm", "bare"] as const) {
    const written = adapterTensors(layout, new Float32Array(layout.length), "f32", module);
    expect([...written.keys()]).toEqual([...entries.keys()]);
  }
});

test("prompts of two sorts of names in one file are not mixed", () => {
  const entries = file("model.layers.0.self_attn", "transformer.h.1.attn");
  const layout = storedLayout(entries, plain, "x");
  expect(compareAdapterKeys(entries, layout)).toMatchObject({
    missing: ["base_model.model.model.layers.1.self_attn.adaption_prompt", expect.stringContaining("adaption_gate")],
    unexpected: ["base_model.model.transformer.h.1.attn.adaption_prompt", expect.stringContaining("adaption_gate")],
  });
});
