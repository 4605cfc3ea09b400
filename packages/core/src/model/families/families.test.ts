import { existsSync, readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { absent, sharedPath } from "../../../test/shared.ts";
import { InputError } from "../../errors.ts";
import { parseModelConfig } from "../hf_config.ts";
import { architectureOf, findFamily } from "./families.ts";

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
const sizes = { vocab_size: 64, hidden_size: 64, intermediate_size: 48, num_hidden_layers: 8, num_attention_heads: 32 };
const phi3 = { ...sizes, num_attention_heads: 8, model_type: "phi3" };
const smollm3 = { ...sizes, model_type: "smollm3" };
const stablelm = { ...sizes, hidden_size: 256, model_type: "stablelm" };
const qwen3 = { ...sizes, model_type: "qwen3" };
const olmo3 = { ...sizes, model_type: "olmo3" };
const gemma2 = { ...sizes, num_attention_heads: 8, model_type: "gemma2" };
const gemma3 = { ...sizes, model_type: "gemma3_text" };
const granite = { ...sizes, model_type: "granite" };
const gptNeox = { ...sizes, num_attention_heads: 4, model_type: "gpt_neox" };
const defaultRope = { ropeTheta: 10_000, ropeScaling: { type: "default" } };

test("what a config leaves out gets the defaults of transformers' class", () => {
  expect(parse(phi3)).toMatchObject({
    ...defaultRope,
    kvHeads: 8,
    headDim: 8,
    contextLength: 4096,
    normEps: 1e-5,
    slidingWindow: 0,
    tiedEmbeddings: false,
    qkvBias: false,
    outputBias: false,
    mlpBias: false,
    bosTokenId: 1,
    eosTokenIds: [32_000],
  });
  expect(parse(phi3).rotaryDim).toBeUndefined();
  expect(parse(qwen3)).toMatchObject({
    ...defaultRope,
    kvHeads: 32,
    headDim: 128,
    contextLength: 32_768,
    normEps: 1e-6,
    qkNorm: "head",
    slidingWindow: 0,
    tiedEmbeddings: false,
    qkvBias: false,
    outputBias: false,
    bosTokenId: undefined,
    eosTokenIds: [],
  });
  const olmo = { normEps: 1e-5, qkNorm: "all-heads", outputNorms: "after-only", eosTokenIds: [50_279] };
  expect(parse({ ...olmo3, model_type: "olmo2" })).toMatchObject({ ...olmo, ...defaultRope, slidingWindow: 0 });
  expect(parse(olmo3)).toMatchObject({
    ...olmo,
    ropeTheta: 500_000,
    slidingRope: { ropeTheta: 500_000, ropeScaling: { type: "default" } },
    slidingWindow: 4096,
    slidingLayers: [0, 1, 2, 4, 5, 6],
    bosTokenId: undefined,
  });
  expect(parse({ ...gemma3, num_attention_heads: 16 })).toMatchObject({
    kvHeads: 4,
    headDim: 256,
    contextLength: 131_072,
    ropeTheta: 1e6,
    slidingRope: { ropeTheta: 1e4, ropeScaling: { type: "default" } },
    slidingWindow: 4096,
    slidingLayers: [0, 1, 2, 3, 4, 6, 7],
    embedScale: 8,
    scoreScale: 1 / 16,
    qkNorm: "head",
    outputNorms: "after",
    tiedEmbeddings: true,
    bosTokenId: 2,
    eosTokenIds: [1],
  });
  expect(parse(granite)).toMatchObject({
    ...defaultRope,
    kvHeads: 32,
    embedScale: 1,
    scoreScale: 1,
    residualScale: 1,
    logitScale: 1,
  });
  expect(parse(smollm3)).toMatchObject({
    kvHeads: 4,
    contextLength: 32_768,
    normEps: 1e-6,
    ropeTheta: 2e6,
    slidingWindow: 0,
    tiedEmbeddings: true,
    unrotatedLayers: [3, 7],
    bosTokenId: 128_000,
    eosTokenIds: [128_001],
  });
  expect(parse(stablelm)).toMatchObject({
    ...defaultRope,
    kvHeads: 32,
    rotaryDim: 2,
    contextLength: 4096,
    normEps: 1e-5,
    qkvBias: false,
    outputBias: false,
    parallelResidual: false,
    tiedEmbeddings: false,
    bosTokenId: 0,
    eosTokenIds: [0],
  });
});

test("gpt_neox: heads are whole, the function of its MLP by its names, its own keys of rotation", () => {
  expect(parse(gptNeox)).toMatchObject({
    ...defaultRope,
    kvHeads: 4,
    headDim: 16,
    rotaryDim: 4,
    contextLength: 2048,
    normEps: 1e-5,
    parallelResidual: true,
    qkvBias: true,
    outputBias: true,
    mlpBias: true,
    tiedEmbeddings: false,
    bosTokenId: 0,
    eosTokenIds: [2],
  });
  expect(parse(gptNeox).activation).toBeUndefined();
  expect(parse({ ...gptNeox, hidden_act: "gelu_fast" }).activation).toBe("gelu");
  expect(architectureOf(parse({ ...gptNeox, hidden_act: "gelu_fast" })).activation).toBe("gelu");
  expect(architectureOf(parse(gptNeox)).activation).toBe("geluErf");
  expect(parse({ ...gptNeox, rotary_pct: 1, rotary_emb_base: 500, use_parallel_residual: false })).toMatchObject({
    ropeTheta: 500,
    parallelResidual: false,
  });
  expect(problems({ ...gptNeox, rotary_pct: 0.2, hidden_act: "relu" })).toEqual([
    'hidden_act is "relu", supported is "gelu", "gelu_python", "gelu_fast", "gelu_new", "gelu_pytorch_tanh"',
    "rotary_pct is 0.2, which rotates 3 of 16 numbers of a head: needed is an even count",
  ]);
});

test("phi3: su and yarn are longrope, and the outer original context wins over the inner one", () => {
  const factors = { short_factor: [1, 2], long_factor: [3, 4], original_max_position_embeddings: 77 };
  const long = { ...phi3, max_position_embeddings: 8192, partial_rotary_factor: 0.5 };
  for (const type of ["su", "yarn", "longrope"]) {
    expect(parse({ ...long, rope_scaling: { type, ...factors } })).toMatchObject({
      rotaryDim: 4,
      ropeScaling: {
        type: "longrope",
        shortFactors: [1, 2],
        longFactors: [3, 4],
        originalContext: 4096,
        attentionFactor: Math.sqrt(1 + Math.log(2) / Math.log(4096)),
      },
    });
  }
  const own = { ...long, original_max_position_embeddings: 8192, rope_scaling: { type: "longrope", ...factors } };
  expect(parse(own).ropeScaling).toMatchObject({ originalContext: 8192, attentionFactor: 1 });
  expect(problems({ ...long, rope_scaling: { type: "longrope", ...factors, long_factor: [1, 2, 3] } })).toEqual([
    "rope_scaling.long_factor is [1,2,3], needed is a list of 2 numbers above 0",
  ]);
  expect(problems({ ...phi3, rope_scaling: { type: "linear", factor: 2 } })).toEqual([
    'rope_scaling.rope_type is "linear", supported are default, longrope',
  ]);
  expect(problems({ ...phi3, partial_rotary_factor: 0.4 })).toEqual([
    "partial_rotary_factor is 0.4, which rotates 3 of 8 numbers of a head: needed is an even count",
  ]);
  expect(problems({ ...phi3, partial_rotary_factor: 1.5 })).toEqual([
    "partial_rotary_factor is 1.5, needed is at most 1",
  ]);
});

test("phi3 slides in all layers if it has a window", () => {
  expect(parse({ ...phi3, sliding_window: 2047 })).toMatchObject({ slidingWindow: 2047, slidingLayers: undefined });
  expect(parse({ ...phi3, sliding_window: null }).slidingWindow).toBe(0);
});

test("smollm3: a list of layers, an interval, windows in what is not rotated", () => {
  expect(parse({ ...smollm3, no_rope_layers: [0, 1, 1, 1, 1, 0, 1, 1] }).unrotatedLayers).toEqual([0, 5]);
  expect(parse({ ...smollm3, no_rope_layer_interval: 3 }).unrotatedLayers).toEqual([2, 5]);
  expect(parse({ ...smollm3, no_rope_layers: Array(8).fill(1) }).unrotatedLayers).toBeUndefined();
  expect(parse({ ...smollm3, use_sliding_window: true, sliding_window: 16 })).toMatchObject({
    slidingWindow: 16,
    slidingLayers: [3, 7],
  });
  expect(problems({ ...smollm3, no_rope_layers: [1, 1] })).toEqual([
    "no_rope_layers is [1,1], needed is a list of 8 numbers, each 0 or 1",
  ]);
  const sliding = { layer_types: Array(8).fill("sliding_attention"), sliding_window: 16 };
  expect(problems({ ...smollm3, ...sliding })).toEqual([
    "layer_types has sliding_attention, but use_sliding_window and sliding_window give no window",
  ]);
});

test("qwen3: biases, windows as in qwen2, and no null for the width of a head", () => {
  expect(parse({ ...qwen3, attention_bias: true })).toMatchObject({ qkvBias: true, outputBias: true, mlpBias: false });
  expect(parse({ ...qwen3, use_sliding_window: true, sliding_window: 64, max_window_layers: 6 })).toMatchObject({
    slidingWindow: 64,
    slidingLayers: [6, 7],
  });
  expect(problems({ ...qwen3, head_dim: null })).toEqual([
    "head_dim is null, which is a value in no qwen3 model: leave it out for the default",
  ]);
});

test("olmo3: the older spelling scales layers without a window alone, the newer one each type by itself", () => {
  const linear = { rope_type: "linear", factor: 4 };
  expect(parse({ ...olmo3, rope_theta: 7000, rope_scaling: linear })).toMatchObject({
    ropeTheta: 7000,
    ropeScaling: { type: "linear", factor: 4 },
    slidingRope: { ropeTheta: 500_000, ropeScaling: { type: "default" } }, // as transformers has it
  });
  const byType = {
    full_attention: { rope_theta: 5 },
    sliding_attention: { rope_theta: 6, rope_type: "linear", factor: 2 },
  };
  expect(parse({ ...olmo3, rope_parameters: byType })).toMatchObject({
    ropeTheta: 5,
    slidingRope: { ropeTheta: 6, ropeScaling: { type: "linear", factor: 2 } },
  });
  expect(problems({ ...olmo3, rope_scaling: { type: "linear", factor: 4 } })).toEqual([
    'rope_scaling.rope_type is "default", type is "linear", needed is one of them',
  ]);
  expect(problems({ ...olmo3, rope_scaling: { rope_type: "linear", factor: 4 }, sliding_window: null })).toEqual([
    "sliding_window is null, needed is a number: 6 of 8 layers slide",
  ]);
  expect(problems({ ...olmo3, rope_parameters: { rope_theta: 5 } })).toEqual([
    'rope_parameters is {"rope_theta":5}, needed is an object with full_attention and sliding_attention',
  ]);
  const dynamic = { sliding_attention: { rope_type: "dynamic", factor: 2 } };
  expect(problems({ ...olmo3, rope_parameters: dynamic })).toEqual([
    'rope_parameters.sliding_attention.rope_type is "dynamic", supported are default, linear, llama3, yarn',
  ]);
});

test("gemma2: caps that a config leaves out are there, a null is none, every other layer slides", () => {
  expect(parse(gemma2)).toMatchObject({
    ...defaultRope,
    kvHeads: 4,
    headDim: 256,
    contextLength: 8192,
    slidingWindow: 4096,
    slidingLayers: [0, 2, 4, 6],
    embedScale: 8,
    scoreScale: 1 / 16,
    scoreCap: 50,
    logitCap: 30,
    outputNorms: "after",
    tiedEmbeddings: true,
    bosTokenId: 2,
    eosTokenIds: [1],
  });
  expect(parse(gemma2).qkNorm).toBeUndefined();
  const uncapped = parse({ ...gemma2, attn_logit_softcapping: null, final_logit_softcapping: null });
  expect([uncapped.scoreCap, uncapped.logitCap]).toEqual([undefined, undefined]);
  expect(parse({ ...gemma2, attn_logit_softcapping: 20, query_pre_attn_scalar: 144 })).toMatchObject({
    scoreCap: 20,
    logitCap: 30,
    scoreScale: 1 / 12,
  });
  expect(problems({ ...gemma2, final_logit_softcapping: 0, hidden_activation: "relu", sliding_window: null })).toEqual([
    'hidden_activation is "relu", supported is "gelu_pytorch_tanh", "gelu_new"',
    "sliding_window is null, needed is a number: 4 of 8 layers slide",
    "final_logit_softcapping is 0, needed is a number above 0",
  ]);
});

test("gemma3: a pattern, caps if it names them, and nothing in both directions", () => {
  const ours = { ...gemma3, num_attention_heads: 16 };
  expect(parse({ ...ours, sliding_window_pattern: 3, _sliding_window_pattern: 6 }).slidingLayers).toEqual([
    0, 1, 3, 4, 6, 7,
  ]);
  const plain = parse(ours);
  expect([plain.scoreCap, plain.logitCap]).toEqual([undefined, undefined]);
  expect(parse({ ...ours, final_logit_softcapping: 30 })).toMatchObject({ logitCap: 30 });
  expect(problems({ ...ours, use_bidirectional_attention: true, attn_logit_softcapping: 50 })).toEqual([
    "use_bidirectional_attention is true, supported is causal attention",
    "attn_logit_softcapping is 50, supported is a model without it: transformers passes it over",
  ]);
});

test("ministral3: yarn and growing queries unless the config says otherwise, and both keys if it does", () => {
  const ministral3 = { ...sizes, num_attention_heads: 8, model_type: "ministral3" };
  expect(parse(ministral3)).toMatchObject({
    kvHeads: 8,
    headDim: 128,
    contextLength: 262_144,
    normEps: 1e-5,
    ropeTheta: 1e6,
    ropeScaling: { type: "yarn", factor: 16, originalContext: 16_384, attentionFactor: 1 },
    queryGrowth: { beta: 0.1, originalContext: 16_384 },
    slidingWindow: 0,
    tiedEmbeddings: false,
  });
  expect(problems({ ...ministral3, head_dim: null }).join()).toContain("head_dim is null");
  expect(problems({ ...ministral3, num_key_value_heads: null }).join()).toContain("num_key_value_heads is null");
  const given = {
    rope_type: "default",
    rope_theta: 7,
    llama_4_scaling_beta: 0.25,
    original_max_position_embeddings: 8,
  };
  expect(parse({ ...ministral3, rope_parameters: given, sliding_window: 16 })).toMatchObject({
    ropeTheta: 7,
    ropeScaling: { type: "default" },
    queryGrowth: { beta: 0.25, originalContext: 8 },
    slidingWindow: 16,
    slidingLayers: undefined,
  });
  expect(problems({ ...ministral3, rope_parameters: { rope_type: "default", rope_theta: 7 } })).toEqual([
    "rope_parameters.llama_4_scaling_beta is missing, needed is a number above 0",
    "rope_parameters.original_max_position_embeddings is missing, needed is an integer from 1 to 2147483647",
  ]);
});

test("qwen3_moe and mixtral: experts, which layers have them, and how their weights are made", () => {
  const qwen3Moe = { ...sizes, model_type: "qwen3_moe" };
  expect(parse(qwen3Moe)).toMatchObject({
    kvHeads: 4,
    headDim: 2,
    contextLength: 32_768,
    qkNorm: "head",
    slidingWindow: 0,
    experts: { count: 128, perToken: 8, intermediateSize: 768, isNormalized: false, denseLayers: [] },
  });
  const some = { num_experts: 4, num_experts_per_tok: 2, norm_topk_prob: true, moe_intermediate_size: 16 };
  expect(parse({ ...qwen3Moe, ...some, mlp_only_layers: [2], decoder_sparse_step: 2 }).experts).toEqual({
    count: 4,
    perToken: 2,
    intermediateSize: 16,
    isNormalized: true,
    denseLayers: [0, 2, 4, 6],
  });
  expect(parse({ ...qwen3Moe, num_experts: 0 }).experts).toBeUndefined();
  expect(parse({ ...qwen3Moe, use_sliding_window: true, sliding_window: 16 })).toMatchObject({
    slidingWindow: 16,
    slidingLayers: undefined,
  });
  expect(problems({ ...qwen3Moe, num_experts: 4, mlp_only_layers: [0.5] })).toEqual([
    "mlp_only_layers is [0.5], needed is a list of numbers of layers",
    "num_experts_per_tok is 8, needed is at most num_experts 4",
  ]);
  expect(parse({ ...sizes, num_attention_heads: 8, model_type: "mixtral" })).toMatchObject({
    ropeTheta: 1e6,
    normEps: 1e-5,
    slidingWindow: 0,
    experts: { count: 8, perToken: 2, intermediateSize: 48, isNormalized: true, denseLayers: [] },
  });
});

test("granite: multipliers", () => {
  const multipliers = {
    embedding_multiplier: 12,
    attention_multiplier: 0.015625,
    residual_multiplier: 0.22,
    logits_scaling: 8,
  };
  expect(parse({ ...granite, ...multipliers })).toMatchObject({
    embedScale: 12,
    scoreScale: 0.015625,
    residualScale: 0.22,
    logitScale: 0.125,
  });
  expect(problems({ ...granite, logits_scaling: 0 })).toEqual(["logits_scaling is 0, needed is a number above 0"]);
});

test("stablelm: norms of queries and keys are refused, parallel layers and biases are read", () => {
  expect(problems({ ...stablelm, qk_layernorm: true })).toEqual([
    "qk_layernorm is true, supported are models without norms of queries and keys",
  ]);
  expect(parse({ ...stablelm, use_parallel_residual: true, use_qkv_bias: true })).toMatchObject({
    parallelResidual: true,
    qkvBias: true,
  });
});

const reason = absent("golden/families");
test.skipIf(reason !== "")(`both spellings of a config are one model${reason}`, () => {
  const folder = sharedPath("golden/families");
  const json = (name: string, file: string): unknown =>
    JSON.parse(readFileSync(`${folder}/${name}/base/${file}`, "utf8"));
  const known = readdirSync(folder).filter((name) => {
    const { model_type } = json(name, "config.json") as { model_type: string };
    return findFamily(model_type) && existsSync(`${folder}/${name}/base/config_v4.json`);
  });
  expect(known.length).toBeGreaterThan(3);
  for (const name of known) {
    const { modelType: _, ...model } = parse(json(name, "config.json"));
    expect(parse(json(name, "config_v4.json")), name).toMatchObject(model); // ministral was called mistral
  }
});
