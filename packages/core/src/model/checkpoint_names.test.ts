import { describe, expect, test } from "vitest";
import { tinyConfig } from "../../test/tiny_model.ts";
import { describeTensors, unusedTensors, withoutWrappers, wrapperPrefixes } from "./checkpoint_names.ts";

const named = (...names: string[]) => new Map(names.map((name) => [name, name]));

describe("prefixes of wrappers", () => {
  test("are taken off, also several in a row, and counted", () => {
    const { tensors, prefixes } = withoutWrappers(
      named("module.a", "module.b", "_orig_mod.module.c", "base_model.model.d", "e", "amodule.f"),
    );
    expect([...tensors]).toEqual([
      ["a", "module.a"],
      ["b", "module.b"],
      ["c", "_orig_mod.module.c"],
      ["d", "base_model.model.d"],
      ["e", "e"],
      ["amodule.f", "amodule.f"],
    ]);
    expect([...prefixes]).toEqual([
      ["module.", 2],
      ["_orig_mod.module.", 1],
      ["base_model.model.", 1],
    ]);
  });

  test("stay if two tensors would share a name", () => {
    const { tensors, prefixes } = withoutWrappers(named("module.a", "_orig_mod.a", "b", "module.b"));
    expect([...tensors.keys()]).toEqual(["module.a", "_orig_mod.a", "b", "module.b"]);
    expect(prefixes.size).toBe(0);
  });

  test("stand at the begin of a name only", () => {
    for (const name of ["x.module.a", "modulea", "base_model.a"]) expect(wrapperPrefixes.test(name)).toBe(false);
  });
});

test("reports tensors that nothing reads, but neither tables of angles nor a tied head", () => {
  const shape = [1];
  const tensors = new Map(
    [
      "model.embed_tokens.weight",
      "lm_head.weight",
      "rotary_emb.inv_freq",
      "model.layers.0.self_attn.rotary_emb.inv_freq",
      "xrotary_emb.inv_freq",
      "odd",
    ].map((name) => [name, { shape }]),
  );
  expect(unusedTensors(tinyConfig({ tiedEmbeddings: true }), tensors)).toEqual(["xrotary_emb.inv_freq", "odd"]);
});

describe("tensors on one line", () => {
  const config = tinyConfig({ layers: 2 });
  const of = (...names: string[]) => describeTensors(names, config);

  test("are reported once for several layers, with their count", () => {
    expect(of("model.layers.0.x.bias", "model.layers.1.x.bias", "odd")).toBe("model.layers.*.x.bias (2), odd");
  });

  test("of surplus layers are reported by layer, with and without the model's own prefix", () => {
    expect(of("model.layers.2.a", "layers.2.b", "model.layers.12.a")).toBe(
      "layer 2 (config.json has 2 layers) (2), layer 12 (config.json has 2 layers)",
    );
    expect(of("xlayers.2.a", "model.layers.1.a")).toBe("xlayers.*.a, model.layers.*.a");
  });

  test("are eight kinds at most, and how many more there are; a long name is cut", () => {
    const names = Array.from({ length: 9 }, (_, i) => `n${i}`);
    expect(of(...names.slice(0, 8))).toBe("n0, n1, n2, n3, n4, n5, n6, n7");
    expect(of(...names)).toBe("n0, n1, n2, n3, n4, n5, n6, n7 and 1 other kinds");
    expect(of("x".repeat(121))).toBe("x".repeat(120));
  });
});
