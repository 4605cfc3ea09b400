import { expect, test } from "vitest";
import { parseModelConfig } from "./hf_config.ts";
import { acceptedNames, linearMapCount, weightSources } from "./hf_names.ts";

const json = {
  model_type: "llama",
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 6,
};

test("a plain model needs nine tensors a layer, embedding, norm and head; merged weights stack their parts", () => {
  const sources = weightSources(parseModelConfig(json, "config.json"));
  expect(sources.flatMap(({ parts }) => parts).length).toBe(2 * 9 + 3);
  expect(sources.find(({ name }) => name === "layers.1.qkv")).toEqual({
    name: "layers.1.qkv",
    shape: [4 * 6 + 2 * 2 * 6, 8],
    parts: [
      { hfName: "model.layers.1.self_attn.q_proj.weight", shape: [24, 8] },
      { hfName: "model.layers.1.self_attn.k_proj.weight", shape: [12, 8] },
      { hfName: "model.layers.1.self_attn.v_proj.weight", shape: [12, 8] },
    ],
  });
  expect(sources.at(-1)).toEqual({
    name: "head",
    shape: [11, 8],
    parts: [{ hfName: "lm_head.weight", shape: [11, 8] }],
  });
});

test("the rows of the parts add up to the rows of the weight, with biases too", () => {
  const sources = weightSources(parseModelConfig({ ...json, attention_bias: true, mlp_bias: true }, "config.json"));
  expect(sources.filter(({ name }) => name.endsWith("Bias")).map(({ name }) => name)).toEqual(
    [0, 1].flatMap((i) => ["qkvBias", "oBias", "gateUpBias", "downBias"].map((name) => `layers.${i}.${name}`)),
  );
  const rows = sources.map(({ name, parts }) => [name, parts.reduce((sum, part) => sum + part.shape[0], 0)]);
  expect(rows).toEqual(sources.map(({ name, shape }) => [name, shape[0]]));
  const columns = sources.flatMap(({ shape, parts }) =>
    parts.map((part) => [part.hfName, shape.slice(1), part.shape.slice(1)]),
  );
  expect(columns.filter(([, whole, part]) => String(whole) !== String(part))).toEqual([]);
});

test("gpt2 has its own names, whose maps are transposed and whose norms and maps have biases", () => {
  const gpt2 = { model_type: "gpt2", vocab_size: 11, n_embd: 8, n_layer: 2, n_head: 2, n_positions: 16 };
  const sources = weightSources(parseModelConfig(gpt2, "config.json"));
  const parts = sources.flatMap(({ name, parts: [part] }) => (name.startsWith("layers.1.") && part ? [part] : []));
  expect(parts.map(({ hfName, shape, change }) => [hfName, shape, change])).toEqual(
    [
      ["ln_1.weight", [8]],
      ["ln_1.bias", [8]],
      ["attn.c_attn.weight", [8, 24], "transpose"],
      ["attn.c_proj.weight", [8, 8], "transpose"],
      ["attn.c_attn.bias", [24]],
      ["attn.c_proj.bias", [8]],
      ["ln_2.weight", [8]],
      ["ln_2.bias", [8]],
      ["mlp.c_fc.weight", [8, 32], "transpose"],
      ["mlp.c_proj.weight", [32, 8], "transpose"],
      ["mlp.c_fc.bias", [32]],
      ["mlp.c_proj.bias", [8]],
    ].map(([name, shape, change]) => [`transformer.h.1.${String(name)}`, shape, change]),
  );
  const others = sources
    .filter(({ name }) => !name.startsWith("layers."))
    .map(({ name, parts: [part] }) => [name, part?.hfName]);
  expect(others).toEqual([
    ["embed", "transformer.wte.weight"],
    ["positions", "transformer.wpe.weight"],
    ["finalNorm", "transformer.ln_f.weight"],
    ["finalNormBias", "transformer.ln_f.bias"],
  ]);
});

test("numbers of linear maps are those of the layers' matrices alone", () => {
  const perLayer = (24 + 12 + 12) * 8 + 8 * 24 + 2 * 12 * 8 + 8 * 12;
  expect(linearMapCount(parseModelConfig(json, "config.json"))).toBe(2 * perLayer);
  expect(linearMapCount(parseModelConfig({ ...json, attention_bias: true }, "config.json"))).toBe(2 * perLayer);
});

test("a tied model has no head", () => {
  const sources = weightSources(parseModelConfig({ ...json, tie_word_embeddings: true }, "config.json"));
  expect(sources.map(({ name }) => name)).not.toContain("head");
});

test("the leading model. or transformer. may be left out, lm_head has none", () => {
  const llama = { modelType: "llama" } as const;
  expect(acceptedNames("model.norm.weight", llama)).toEqual(["model.norm.weight", "norm.weight"]);
  expect(acceptedNames("lm_head.weight", llama)).toEqual(["lm_head.weight"]);
  expect(acceptedNames("transformer.wte.weight", { modelType: "gpt2" })).toEqual([
    "transformer.wte.weight",
    "wte.weight",
  ]);
});
