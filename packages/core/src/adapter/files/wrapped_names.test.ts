import { expect, test } from "vitest";
import { unwrapNames, unwrappedName } from "./wrapped_names.ts";

const name = "base_model.model.model.layers.3.self_attn.adaption_gate";

test.each([
  ["module.", `module.${name}`],
  ["_orig_mod.", `_orig_mod.${name}`],
  ["module. of torch.compile", `_orig_mod.module.${name}`],
  ["base_model.model. twice", `base_model.model.${name}`],
  ["a wrapper inside of PEFT's", "base_model.model._orig_mod.model.layers.3.self_attn.adaption_gate"],
  ["nothing", name],
])("%s in front of a name is stripped [T-C6]", (_, wrapped) => {
  expect(unwrappedName(wrapped)).toBe(name);
});

test("names that are no adapter's stay to be refused by name", () => {
  expect(unwrappedName("model.layers.0.self_attn.module.weight")).toBe("model.layers.0.self_attn.module.weight");
  expect(unwrappedName("module.lm_head.weight")).toBe("lm_head.weight");
});

test("stripped prefixes are reported once, two names that become one are refused [T-C6]", () => {
  const { tensors, notes } = unwrapNames(
    new Map([
      [`module.${name}`, 1],
      ["module.b", 2],
    ]),
    "a.safetensors",
  );
  expect([...tensors]).toEqual([
    [name, 1],
    ["b", 2],
  ]);
  expect(notes).toEqual(['a.safetensors: 2 names of tensors are read without "module."']);
  expect(unwrapNames(new Map([[name, 1]]), "a").notes).toEqual([]);
  const twice = new Map([
    [name, 1],
    [`module.${name}`, 2],
  ]);
  expect(() => unwrapNames(twice, "a")).toThrow(`are both ${name}`);
});
