import { expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { parseModelConfig } from "./hf_config.ts";
import { holderTypes, isBesideLanguage, languageName } from "./text_config.ts";

function read(json: unknown) {
  const warnings: string[] = [];
  return { config: parseModelConfig(json, "config.json", (warning) => warnings.push(warning)), warnings };
}
const problems = (json: unknown): readonly string[] => {
  try {
    read(json);
  } catch (error) {
    if (error instanceof InputError) return error.problems;
    throw error;
  }
  return [];
};

test("a text_config gets the sizes of transformers' class for what it leaves out, as those of Gemma 3 4B and LLaVA do [M-gemma3_text]", () => {
  const text_config = { hidden_size: 2560, intermediate_size: 10_240, num_hidden_layers: 34, sliding_window: 1024 };
  const { config, warnings } = read({
    model_type: "gemma3",
    architectures: ["Gemma3ForConditionalGeneration"],
    eos_token_id: [1, 106],
    torch_dtype: "bfloat16",
    vision_config: { model_type: "siglip_vision_model" },
    text_config: { ...text_config, model_type: "gemma3_text", rope_scaling: { rope_type: "linear", factor: 8 } },
  });
  expect(config).toMatchObject({
    modelType: "gemma3_text",
    inside: "gemma3",
    vocabSize: 262_208,
    hiddenSize: 2560,
    layers: 34,
    heads: 8,
    kvHeads: 4,
    headDim: 256,
    eosTokenIds: [1, 106],
    tiedEmbeddings: true,
    embedScale: 50.5, // √2560 in bf16
    ropeScaling: { type: "linear", factor: 8 },
    slidingWindow: 1024,
  });
  expect(warnings).toEqual([
    "config.json is of a gemma3 model: what is used is its language model, a gemma3_text model, and not what it has for images",
  ]);
  const llava = { model_type: "llava", text_config: { max_position_embeddings: 4096, vocab_size: 32_064 } };
  expect(read(llava).config).toMatchObject({
    modelType: "llama",
    vocabSize: 32_064,
    hiddenSize: 4096,
    intermediateSize: 11_008,
    layers: 32,
    heads: 32,
  });
});

test("whether the head is the embedding may stand in either config", () => {
  const tied = (outer: object, inner: object) =>
    read({ model_type: "mistral3", ...outer, text_config: { model_type: "ministral3", ...inner } }).config
      .tiedEmbeddings;
  const [yes, no] = [{ tie_word_embeddings: true }, { tie_word_embeddings: false }];
  expect([tied({}, {}), tied(yes, {}), tied({}, yes), tied(yes, no), tied(no, yes)]).toEqual(Array(5).fill(true));
  expect([tied(no, {}), tied({}, no), tied(no, no)]).toEqual([false, false, false]);
});

test("problems are those of the text_config, and one of another family is refused", () => {
  expect(problems({ model_type: "gemma3" })).toEqual([
    "it is a gemma3 model without a text_config: needed is the config of its language model",
  ]);
  expect(problems({ model_type: "mistral3", text_config: { hidden_size: 0 } })).toEqual([
    "hidden_size is 0, needed is an integer from 1 to 2147483647",
  ]);
  expect(problems({ model_type: "llava", text_config: { model_type: "phi" } })[0]).toContain(
    'text_config.model_type is "phi", which has parallel layers',
  );
  const quantized = { model_type: "mistral3", quantization_config: { quant_method: "fp8" }, text_config: {} };
  expect(problems(quantized).join()).toContain("quantization_config is set");
  expect(problems({ model_type: "llama", text_config: {} }).join()).toContain("text_config is {}");
  expect(holderTypes).toContain("mistral3");
});

test("names of a language model in a larger one, in both spellings", () => {
  expect(
    [
      "language_model.model.layers.0.mlp.up_proj.weight",
      "model.language_model.layers.0.mlp.up_proj.weight",
      "language_model.lm_head.weight",
      "lm_head.weight",
      "language_model.model.embed_tokens.weight",
      "model.language_model.norm.weight",
      "model.layers.0.self_attn.q_proj.weight",
      "vision_tower.vision_model.head.weight",
    ].map(languageName),
  ).toEqual([
    "model.layers.0.mlp.up_proj.weight",
    "model.layers.0.mlp.up_proj.weight",
    "lm_head.weight",
    "lm_head.weight",
    "model.embed_tokens.weight",
    "model.norm.weight",
    "model.layers.0.self_attn.q_proj.weight",
    "vision_tower.vision_model.head.weight",
  ]);
  for (const name of ["vision_tower.a", "model.vision_tower.a", "multi_modal_projector.a", "model.visual.a", "mtp.a"]) {
    expect(isBesideLanguage(name), name).toBe(true);
  }
  for (const name of ["model.layers.0.q", "visually.a", "lm_head.weight", "model.mtp2"]) {
    expect(isBesideLanguage(name), name).toBe(false);
  }
});
