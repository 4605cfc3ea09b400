import { expect, test } from "vitest";
import { InputError } from "../../errors.ts";
import { parseTowerConfig, towerTokens } from "./config.ts";

const json = {
  model_type: "vit",
  hidden_size: 48,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  intermediate_size: 192,
  image_size: 32,
  patch_size: 4,
};
const problems = (change: object, base: object = json): readonly string[] => {
  try {
    parseTowerConfig({ ...base, ...change }, "config.json");
    return [];
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return error.problems;
  }
};

test("sizes are read, the rest has transformers' defaults", () => {
  expect(parseTowerConfig(json, "x")).toEqual({
    family: "vit",
    hiddenSize: 48,
    intermediateSize: 192,
    layers: 4,
    heads: 4,
    imageSize: 32,
    patchSize: 4,
    normEps: 1e-12,
    activation: "geluErf",
    qkvBias: true,
    finalNorm: true,
    projectionSize: 0,
    poolingHead: false,
  });
  expect(parseTowerConfig({ model_type: "clip_vision_model" }, "x")).toMatchObject({
    hiddenSize: 768,
    patchSize: 32,
    normEps: 1e-5,
    activation: "geluQuick",
    projectionSize: 512,
  });
  const siglip = parseTowerConfig({ model_type: "siglip_vision_model", vision_use_head: false }, "x");
  expect(siglip).toMatchObject({ patchSize: 16, normEps: 1e-6, activation: "gelu", poolingHead: false });
  expect([towerTokens(parseTowerConfig(json, "x")), towerTokens(siglip)]).toEqual([65, 196]);
});

test("a whole model's vision_config is the tower, with the width of its own projection", () => {
  const inner = { hidden_size: 48, num_attention_heads: 4, projection_dim: 7 };
  const clip = { model_type: "clip", projection_dim: 9, vision_config: inner };
  expect(parseTowerConfig(clip, "x")).toMatchObject({ family: "clip", hiddenSize: 48, projectionSize: 9 });
  expect(parseTowerConfig({ model_type: "llava", vision_config: inner }, "x").projectionSize).toBe(7);
  expect(parseTowerConfig({ model_type: "paligemma", vision_config: {} }, "x").family).toBe("siglip");
  expect(problems({ vision_config: { model_type: "pixtral" } }, { model_type: "llava" })[0]).toMatch(
    /^model_type is "pixtral", supported are clip_vision_model, vit, siglip_vision_model/,
  );
  expect(problems({ vision_config: 3 })).toEqual(["vision_config is not a JSON object"]);
});

test("what cannot be computed is refused by its key, all at once", () => {
  expect(
    problems({
      hidden_size: 50,
      image_size: 30,
      num_channels: 1,
      hidden_act: "relu",
      layer_norm_eps: 0,
      num_hidden_layers: 0,
      qkv_bias: "no",
      quantization_config: {},
    }).map((problem) => problem.split(" ")[0]),
  ).toEqual([
    "hidden_size",
    "image_size",
    "num_channels",
    "quantization_config",
    "num_hidden_layers",
    "layer_norm_eps",
    "hidden_act",
    "qkv_bias",
  ]);
  expect(problems({ image_size: [32, 64] })[0]).toContain("image_size is [32,64]");
  expect(problems({ image_size: [32, 32], patch_size: [8, 8] })).toEqual([]);
  expect(problems({ model_type: "dinov2" })[0]).toContain('model_type is "dinov2"');
  expect(problems({ model_type: undefined })[0]).toContain("model_type is missing");
});

test("keys without a meaning are named, those that every file has are not", () => {
  const warnings: string[] = [];
  const common = { architectures: ["ViTModel"], hidden_dropout_prob: 0.1, id2label: {}, transformers_version: "5" };
  parseTowerConfig({ ...json, ...common, num_beams: 1 }, "x", (message) => warnings.push(message));
  expect(warnings).toEqual([]);
  parseTowerConfig({ ...json, layer_scale: 2, nothing: null }, "x", (message) => warnings.push(message));
  expect(warnings).toEqual(["1 keys of the tower's config have no meaning here and are not used: layer_scale"]);
});
