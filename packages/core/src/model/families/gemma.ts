/** Gemma 1: GeGLU, embeddings times √D, norms stored as their distance from 1, a tied head. */
import { narrow, widen } from "../../formats/dtype.ts";
import type { JsonFields } from "../../formats/json_fields.ts";
import type { Family } from "./family.ts";
import { llamaArchitecture, llamaDefaults, llamaWeights, noWindow, readSizes, readTokens } from "./llama.ts";

export const gemmaDefaults: typeof llamaDefaults = {
  ...llamaDefaults,
  kvHeads: 16,
  headDim: 256,
  contextLength: 8192,
  activation: "gelu_pytorch_tanh",
  activations: ["gelu_pytorch_tanh", "gelu_new", "gelu"], // the first configs call the tanh approximation "gelu"
  tiedEmbeddings: true,
  bosTokenId: [2],
  eosTokenId: [1],
};

export const gemma: Family = {
  modelType: "gemma",
  classes: ["GemmaForCausalLM", "GemmaModel"],
  architecture: { ...llamaArchitecture, activation: "geglu" },
  notNull: ["head_dim", "num_key_value_heads"],
  read(reading) {
    const { fields } = reading;
    const sizes = readSizes(reading, gemmaDefaults);
    if (fields.boolean("use_bidirectional_attention", false)) {
      fields.problem("use_bidirectional_attention is true, supported is causal attention");
    }
    const attentionBias = fields.boolean("attention_bias", false);
    return {
      ...sizes,
      ...noWindow,
      ...readTokens(fields, gemmaDefaults),
      embedScale: embedScale(fields, sizes.hiddenSize),
      qkvBias: attentionBias,
      outputBias: attentionBias,
      mlpBias: false,
    };
  },
  weights: (config) => llamaWeights(config, { normChange: "add-one" }),
};

/** √hidden_size, rounded to the dtype of the checkpoint: transformers rounds it to that of the embedding. */
export function embedScale(fields: JsonFields, hiddenSize: number): number {
  const stored = fields.raw("dtype") ?? fields.raw("torch_dtype");
  const dtype = stored === "bfloat16" ? "bf16" : stored === "float16" ? "f16" : "f32";
  const rounded = new Float32Array(1);
  widen(dtype, narrow(Float32Array.of(Math.sqrt(hiddenSize)), dtype), rounded);
  return rounded[0];
}
