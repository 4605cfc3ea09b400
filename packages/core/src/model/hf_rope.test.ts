/** Rotary settings of a config.json, in their old and new spelling. */
import { describe, expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { parseModelConfig } from "./hf_config.ts";

/** The five sizes that must be there, and nothing else. */
const llama = {
  model_type: "llama",
  vocab_size: 32000,
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
};
const parse = (json: unknown) => parseModelConfig(json, "config.json");

function problems(json: unknown): readonly string[] {
  try {
    parse(json);
  } catch (error) {
    if (error instanceof InputError) return error.problems;
    throw error;
  }
  return [];
}

function rope(fields: object): object {
  const { ropeTheta, ropeScaling } = parse({ ...llama, max_position_embeddings: 8192, ...fields });
  return { ropeTheta, ...ropeScaling };
}

describe("rotary settings", () => {
  test("old and new spelling mean the same", () => {
    const expected = { ropeTheta: 5e5, type: "linear", factor: 2 };
    expect(rope({ rope_theta: 5e5, rope_scaling: { type: "linear", factor: 2 } })).toEqual(expected);
    expect(rope({ rope_theta: 5e5, rope_scaling: { rope_type: "linear", factor: 2 } })).toEqual(expected);
    expect(rope({ rope_parameters: { rope_type: "linear", factor: 2, rope_theta: 5e5 } })).toEqual(expected);
    expect(rope({ rope_theta: 5e5, rope_parameters: { rope_type: "linear", factor: 2 } })).toEqual(expected);
  });

  test("rope_scaling wins over rope_parameters, null and {} do not count", () => {
    const rope_parameters = { rope_type: "linear", factor: 3, rope_theta: 7 };
    expect(rope({ rope_scaling: { type: "linear", factor: 2 }, rope_parameters })).toEqual({
      ropeTheta: 10000,
      type: "linear",
      factor: 2,
    });
    for (const rope_scaling of [null, {}]) {
      expect(rope({ rope_scaling, rope_parameters })).toEqual({ ropeTheta: 7, type: "linear", factor: 3 });
    }
  });

  test("dynamic stretches from max_position_embeddings", () => {
    const rope_scaling = { type: "dynamic", factor: 4, original_max_position_embeddings: 1024 };
    expect(rope({ rope_scaling })).toMatchObject({ type: "dynamic", factor: 4, originalContext: 8192 });
  });

  test("yarn stretches by no factor up to 1, and by every one above it", () => {
    const of = (factor: number) => rope({ rope_scaling: { type: "yarn", factor } });
    expect([of(0.5), of(1)]).toMatchObject([{ attentionFactor: 1 }, { attentionFactor: 1 }]);
    expect(of(1.5)).toMatchObject({ attentionFactor: 0.1 * Math.log(1.5) + 1 });
  });

  test("yarn fills in beta 32 and 1, 0.1·ln(factor) + 1, the context and truncation", () => {
    expect(rope({ rope_scaling: { type: "yarn", factor: 4 } })).toEqual({
      ropeTheta: 10000,
      type: "yarn",
      factor: 4,
      originalContext: 8192,
      betaFast: 32,
      betaSlow: 1,
      attentionFactor: 0.1 * Math.log(4) + 1,
      truncate: true,
    });
    const given = {
      type: "yarn",
      factor: null,
      original_max_position_embeddings: 1024,
      beta_fast: 16,
      beta_slow: 0,
      attention_factor: 1.25,
      truncate: false,
    };
    expect(rope({ rope_scaling: given })).toMatchObject({
      factor: 8,
      betaFast: 16,
      betaSlow: 1,
      attentionFactor: 1.25,
      truncate: false,
    });
  });

  test("yarn's attention factor is a ratio if mscale and mscale_all_dim are both given", () => {
    const both = { type: "yarn", factor: 40, mscale: 0.707, mscale_all_dim: 1.5 };
    const ratio = (0.1 * 0.707 * Math.log(40) + 1) / (0.1 * 1.5 * Math.log(40) + 1);
    expect(rope({ rope_scaling: both })).toMatchObject({ attentionFactor: ratio });
    expect(rope({ rope_scaling: { ...both, mscale_all_dim: 0 } })).toMatchObject({
      attentionFactor: 0.1 * Math.log(40) + 1,
    });
  });

  test("a top-level original_max_position_embeddings wins, as in transformers", () => {
    const rope_scaling = { type: "yarn", factor: 2, original_max_position_embeddings: 2048 };
    expect(rope({ rope_scaling, original_max_position_embeddings: 1024 })).toMatchObject({ originalContext: 1024 });
  });

  test.each([
    [
      { full_attention: { rope_type: "default" }, sliding_attention: {} },
      "rope_parameters differs by layer type (full_attention, sliding_attention), supported is one for all layers",
    ],
    [
      { rope_type: "proportional" },
      'rope_parameters.rope_type is "proportional", supported are default, linear, dynamic, llama3, yarn, longrope',
    ],
    [{ rope_type: "linear" }, "rope_parameters.factor is missing, needed is a number above 0"],
    [{ rope_type: "linear", factor: "2" }, 'rope_parameters.factor is "2", needed is a number above 0'],
    [{ rope_theta: 0 }, "rope_parameters.rope_theta is 0, needed is a number above 0"],
    [
      { partial_rotary_factor: 0.5 },
      "rope_parameters.partial_rotary_factor is not 1, supported is rotation of whole heads",
    ],
    [
      { rope_type: "llama3", factor: 8, low_freq_factor: 4, high_freq_factor: 4 },
      "rope_parameters.high_freq_factor is 4, needed is more than low_freq_factor 4",
    ],
    [["linear"], 'rope_parameters is ["linear"], needed is an object'],
  ])("%j is refused", (rope_parameters, message) => {
    expect(problems({ ...llama, rope_parameters })).toEqual([message]);
  });
});
