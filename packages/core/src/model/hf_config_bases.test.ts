import { expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { parseModelConfig } from "./hf_config.ts";

const parse = (json: unknown) => parseModelConfig(json, "config.json");
const problems = (json: unknown): readonly string[] => {
  try {
    parse(json);
  } catch (error) {
    if (error instanceof InputError) return error.problems;
    throw error;
  }
  return [];
};

/** Only what has no default. */
const sizes = {
  vocab_size: 64,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 4,
  num_attention_heads: 32,
};
const qwen2 = { ...sizes, model_type: "qwen2", hidden_size: 64 };
const gemma = { ...sizes, model_type: "gemma" };
const gpt2 = { model_type: "gpt2", vocab_size: 50257, n_embd: 768, n_layer: 12, n_head: 12 };

test("what a qwen2 config leaves out gets the defaults of transformers' Qwen2Config", () => {
  expect(parse(qwen2)).toMatchObject({
    kvHeads: 32,
    headDim: 2,
    contextLength: 32_768,
    normEps: 1e-6,
    slidingWindow: 0,
    slidingLayers: undefined,
    embedScale: 1,
    tiedEmbeddings: false,
    qkvBias: true,
    outputBias: false,
    mlpBias: false,
    bosTokenId: undefined,
    eosTokenIds: [],
  });
});

const windowed = { ...qwen2, use_sliding_window: true, sliding_window: 8 };
const types = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"];
test.each([
  ["only with use_sliding_window", { ...windowed, use_sliding_window: false }, 0, undefined],
  ["a null is none", { ...windowed, sliding_window: null, max_window_layers: 1 }, 0, undefined],
  ["max_window_layers is 28 by default: none of 4", windowed, 0, undefined],
  ["from max_window_layers on", { ...windowed, max_window_layers: 1 }, 8, [1, 2, 3]],
  ["everywhere", { ...windowed, max_window_layers: 0 }, 8, [0, 1, 2, 3]],
  ["layer_types wins", { ...windowed, max_window_layers: 0, layer_types: types }, 8, [0, 2]],
  ["all full", { ...windowed, layer_types: Array(4).fill("full_attention") }, 0, undefined],
])("qwen2's window: %s", (_, json, slidingWindow, slidingLayers) => {
  expect(parse(json)).toMatchObject({ slidingWindow, slidingLayers });
});

test.each([
  ...["vocab_size", "n_embd", "n_layer", "n_head", "n_positions", "n_inner"].map((key) => [gpt2, key] as const),
  ...["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"].flatMap((key) =>
    [qwen2, gemma].map((json) => [json, key] as const),
  ),
])("a size of 0 is refused by its name: $model_type, %s", (json, key) => {
  expect(() => parse({ ...json, [key]: 0 })).toThrow(`${key} is 0, needed is `);
});

test("a window of 0 is refused: without a window the key is null", () => {
  expect(() => parse({ ...windowed, max_window_layers: 0, sliding_window: 0 })).toThrow(
    "sliding_window is 0, needed is",
  );
});

test("layer types that are unknown, too few, or slide without a window are refused", () => {
  const found = 'layer_types is ["full_attention","chunked_attention"], needed is a list of 4 names';
  expect(problems({ ...windowed, layer_types: ["full_attention", "chunked_attention"] })[0]).toContain(found);
  expect(problems({ ...qwen2, layer_types: types })).toEqual([
    "layer_types has sliding_attention, but use_sliding_window and sliding_window give no window",
  ]);
});

test("what a gemma config leaves out gets the defaults of transformers' GemmaConfig", () => {
  expect(parse({ ...gemma, num_attention_heads: 16 })).toMatchObject({
    kvHeads: 16,
    headDim: 256,
    contextLength: 8192,
    normEps: 1e-6,
    tiedEmbeddings: true,
    qkvBias: false,
    outputBias: false,
    mlpBias: false,
    bosTokenId: 2,
    eosTokenIds: [1],
  });
});

test("gemma's embedding scale is the root of the hidden size in the checkpoint's dtype", () => {
  const scale = (fields: object) =>
    parse({ ...gemma, hidden_size: 3072, num_attention_heads: 16, ...fields }).embedScale;
  expect(scale({})).toBe(Math.fround(Math.sqrt(3072)));
  expect(scale({ dtype: "bfloat16" })).toBe(55.5);
  expect(scale({ torch_dtype: "bfloat16" })).toBe(55.5);
  expect(scale({ dtype: "float16" })).toBe(55.4375);
});

test("gemma's activation is the tanh approximation by any of its names, and its attention is causal", () => {
  const ours = { ...gemma, num_attention_heads: 16 };
  for (const hidden_act of ["gelu", "gelu_pytorch_tanh", "gelu_new"]) parse({ ...ours, hidden_act });
  expect(problems({ ...ours, hidden_act: "silu", use_bidirectional_attention: true })).toEqual([
    'hidden_act is "silu", supported is "gelu_pytorch_tanh", "gelu_new", "gelu"',
    "use_bidirectional_attention is true, supported is causal attention",
  ]);
  expect(parse({ ...ours, attention_bias: true })).toMatchObject({ qkvBias: true, outputBias: true });
});

test("what a gpt2 config leaves out gets the defaults of transformers' GPT2Config", () => {
  expect(parse(gpt2)).toEqual({
    modelType: "gpt2",
    vocabSize: 50257,
    hiddenSize: 768,
    intermediateSize: 3072,
    layers: 12,
    heads: 12,
    kvHeads: 12,
    headDim: 64,
    contextLength: 1024,
    normEps: 1e-5,
    ropeTheta: 10000,
    ropeScaling: { type: "default" },
    slidingWindow: 0,
    slidingLayers: undefined,
    embedScale: 1,
    tiedEmbeddings: true,
    qkvBias: true,
    outputBias: true,
    mlpBias: true,
    bosTokenId: 50256,
    eosTokenIds: [50256],
  });
  const ends = { bos_token_id: 3, eos_token_id: [5, 6] };
  expect(parse({ ...gpt2, ...ends })).toMatchObject({ bosTokenId: 3, eosTokenIds: [5, 6] });
});

test("gpt2 without a gpt2's attention is refused, each switch by its name; dropouts and upcasting do not matter", () => {
  expect(parse({ ...gpt2, n_inner: 100, attn_pdrop: 0.5, reorder_and_upcast_attn: true })).toMatchObject({
    intermediateSize: 100,
  });
  const odd = {
    ...gpt2,
    n_embd: 769,
    activation_function: "gelu",
    scale_attn_weights: false,
    scale_attn_by_inverse_layer_idx: true,
    add_cross_attention: true,
    quantization_config: {},
  };
  expect(problems(odd)).toEqual([
    "quantization_config is set, supported are weights in F32, F16 or BF16: use the original model",
    "n_embd is 769, needed is a multiple of the 12 heads",
    'activation_function is "gelu", supported is "gelu_new", "gelu_pytorch_tanh"',
    "scale_attn_weights is false, supported is true",
    "scale_attn_by_inverse_layer_idx is true, supported is false",
    "add_cross_attention is true, supported is false",
  ]);
});
