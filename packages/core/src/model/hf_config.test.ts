import { existsSync, readFileSync } from "node:fs";
import * as fc from "fast-check";
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
const mistral = { ...llama, model_type: "mistral" };
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

test("what a llama config leaves out gets the defaults of transformers' LlamaConfig", () => {
  expect(parse(llama)).toEqual({
    modelType: "llama",
    vocabSize: 32000,
    hiddenSize: 4096,
    intermediateSize: 11008,
    layers: 32,
    heads: 32,
    kvHeads: 32,
    headDim: 128,
    contextLength: 2048,
    normEps: 1e-6,
    ropeTheta: 10000,
    ropeScaling: { type: "default" },
    slidingWindow: 0,
    slidingLayers: undefined,
    embedScale: 1,
    tiedEmbeddings: false,
    qkvBias: false,
    outputBias: false,
    mlpBias: false,
    bosTokenId: 1,
    eosTokenIds: [2],
  });
});

test("what a mistral config leaves out gets the defaults of transformers' MistralConfig; a null is not left out", () => {
  const { kvHeads, contextLength, slidingWindow } = parse(mistral);
  expect({ kvHeads, contextLength, slidingWindow }).toEqual({ kvHeads: 8, contextLength: 131072, slidingWindow: 4096 });
  const withNulls = parse({
    ...mistral,
    num_key_value_heads: null,
    sliding_window: null,
    head_dim: null,
    bos_token_id: null,
    eos_token_id: null,
  });
  expect(withNulls).toMatchObject({
    kvHeads: 32,
    slidingWindow: 0,
    headDim: 128,
    bosTokenId: undefined,
    eosTokenIds: [],
  });
});

test("Llama 3.2 1B reads as published: GQA, tied, several end tokens, llama3 scaling", () => {
  const config = parse({
    ...llama,
    attention_bias: false,
    bos_token_id: 128000,
    eos_token_id: [128001, 128008, 128009],
    head_dim: 64,
    hidden_size: 2048,
    max_position_embeddings: 131072,
    num_key_value_heads: 8,
    rms_norm_eps: 1e-5,
    rope_scaling: {
      factor: 32.0,
      high_freq_factor: 4.0,
      low_freq_factor: 1.0,
      original_max_position_embeddings: 8192,
      rope_type: "llama3",
    },
    rope_theta: 500000.0,
    tie_word_embeddings: true,
    torch_dtype: "bfloat16",
  });
  expect(config).toMatchObject({
    kvHeads: 8,
    headDim: 64,
    tiedEmbeddings: true,
    eosTokenIds: [128001, 128008, 128009],
    ropeTheta: 500000,
  });
  expect(config.ropeScaling).toEqual({
    type: "llama3",
    factor: 32,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalContext: 8192,
  });
});

test("head_dim need not be hidden size / heads, and then need not divide it (Mistral-Nemo)", () => {
  expect(parse({ ...mistral, hidden_size: 5120, head_dim: 128, num_key_value_heads: 8 }).headDim).toBe(128);
  expect(parse({ ...llama, hidden_size: 100, head_dim: 8 }).headDim).toBe(8);
});

test("a window is mistral's only, biases are llama's only", () => {
  expect(parse({ ...llama, sliding_window: 512 }).slidingWindow).toBe(0);
  expect(parse({ ...mistral, sliding_window: 512, attention_bias: true, mlp_bias: true })).toMatchObject({
    slidingWindow: 512,
    qkvBias: false,
    outputBias: false,
    mlpBias: false,
  });
  expect(parse({ ...llama, attention_bias: true, mlp_bias: true })).toMatchObject({
    qkvBias: true,
    outputBias: true,
    mlpBias: true,
  });
});

test("another model type is refused with the supported ones [A2]", () => {
  const supported =
    "supported are llama, mistral, ministral, ministral3, qwen2, qwen3, qwen3_moe, qwen3_5_text, mixtral, phi3, smollm3, stablelm, granite, olmo2, olmo3, gemma, gemma2, gemma3_text, gpt2, gpt_neox, gemma3, mistral3, llava, llava_next, llava_next_video, llava_onevision, vipllava, qwen3_5";
  for (const type of ["mine", "llama5", "toString", 7]) {
    const message = `Cannot use config.json as a model config: model_type is ${JSON.stringify(type)}, ${supported}`;
    expect(() => parse({ ...llama, model_type: type })).toThrow(message);
  }
  expect(() => parse({})).toThrow(`model_type is missing, ${supported}`);
  expect(() => parse([])).toThrow("Cannot use config.json as a model config: it is not a JSON object");
});

test("all problems are reported at once, and none that follows from another", () => {
  const broken = {
    ...llama,
    hidden_size: "4096",
    num_key_value_heads: 5,
    num_hidden_layers: 1e9,
    vocab_size: null,
    rms_norm_eps: 0,
    hidden_act: "gelu",
    tie_word_embeddings: "yes",
    eos_token_id: [2, -2],
    quantization_config: { bits: 4 },
    rope_scaling: { type: "su" },
  };
  expect(problems(broken).toSorted()).toEqual([
    "eos_token_id is [2,-2], needed is a token id or a list of them",
    'hidden_act is "gelu", supported is "silu", "swish"',
    'hidden_size is "4096", needed is an integer from 1 to 2147483647',
    "num_hidden_layers is 1000000000, needed is an integer from 1 to 10000",
    "num_key_value_heads is 5, needed is a divisor of the 32 attention heads",
    "quantization_config is set, supported are weights in F32, F16 or BF16: use the original model",
    "rms_norm_eps is 0, needed is a number above 0",
    'rope_scaling.rope_type is "su", supported are default, linear, dynamic, llama3, yarn, longrope',
    'tie_word_embeddings is "yes", needed is true or false',
    "vocab_size is missing, needed is an integer from 1 to 2147483647",
  ]);
});

test("sizes that do not fit together are refused", () => {
  expect(problems({ ...llama, num_attention_heads: 30 })).toContain(
    "hidden_size is 4096, needed is a multiple of the 30 attention heads",
  );
  expect(problems({ ...llama, head_dim: 5 })).toEqual(["head_dim is 5, rotary embedding needs an even number"]);
});

test("any values give a config without NaN or an InputError", () => {
  const names = Object.keys({
    ...llama,
    head_dim: 0,
    num_key_value_heads: 0,
    rope_theta: 0,
    rope_scaling: 0,
    rope_parameters: 0,
    eos_token_id: 0,
    max_position_embeddings: 0,
  });
  const scaling = fc.record(
    {
      type: fc.constantFrom("yarn", "llama3", "dynamic", "linear", 3),
      factor: fc.jsonValue(),
      low_freq_factor: fc.nat(9),
      high_freq_factor: fc.nat(9),
      original_max_position_embeddings: fc.oneof(fc.jsonValue(), fc.nat(4096)),
    },
    { requiredKeys: ["type"] },
  );
  const value = fc.oneof(fc.jsonValue(), fc.nat(64), scaling);
  fc.assert(
    fc.property(
      fc.constantFrom(llama, mistral),
      fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 4 }),
      (base, changes) => {
        try {
          expect(
            JSON.stringify(parse({ ...base, ...changes }), (_, x: unknown) => (Number.isNaN(x) ? "NaN" : x)),
          ).not.toContain("NaN");
        } catch (error) {
          if (!(error instanceof InputError)) throw error;
        }
      },
    ),
    { numRuns: 2000 },
  );
});

const golden = new URL("../../../../../shared/golden/", import.meta.url);
const read = (name: string) => parse(JSON.parse(readFileSync(new URL(`${name}/base/config.json`, golden), "utf8")));
describe.skipIf(!existsSync(golden))("configs written by transformers 5.18 (skipped without shared/golden)", () => {
  test("llama3_rope", () => {
    expect(read("llama3_rope")).toMatchObject({ kvHeads: 1, headDim: 8, ropeTheta: 500000, normEps: 1e-5 });
    expect(read("llama3_rope").ropeScaling).toEqual({
      type: "llama3",
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalContext: 16,
    });
  });

  test("mistral_gqa, llama_bias", () => {
    expect(read("mistral_gqa")).toMatchObject({
      modelType: "mistral",
      kvHeads: 2,
      slidingWindow: 0,
      contextLength: 64,
    });
    expect(read("llama_bias")).toMatchObject({ qkvBias: true, outputBias: true, mlpBias: false });
  });
});
