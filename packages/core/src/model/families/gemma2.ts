/** Gemma 2: Gemma with norms of outputs, soft caps of scores and logits, and windows in every other layer. */
import type { JsonFields } from "../../formats/json_fields.ts";
import type { ModelConfig } from "../config.ts";
import type { WeightSource } from "../weight_sources.ts";
import type { Family } from "./family.ts";
import { embedScale, gemmaDefaults } from "./gemma.ts";
import { llamaArchitecture, type llamaDefaults, llamaWeights, readSizes, readTokens } from "./llama.ts";
import { readPatternedWindows } from "./windows.ts";

export const gemma2Defaults: typeof llamaDefaults = {
  ...gemmaDefaults,
  kvHeads: 4,
  activationKey: "hidden_activation",
  activations: ["gelu_pytorch_tanh", "gelu_new"],
};

export const gemma2: Family = {
  modelType: "gemma2",
  classes: ["Gemma2ForCausalLM", "Gemma2Model"],
  architecture: { ...llamaArchitecture, activation: "geglu" },
  notNull: ["head_dim", "num_key_value_heads", "query_pre_attn_scalar"],
  read({ fields, ...reading }) {
    const sizes = readSizes({ fields, ...reading }, gemma2Defaults);
    return {
      ...sizes,
      ...readPatternedWindows(fields, sizes.layers, 2),
      ...readTokens(fields, gemma2Defaults),
      ...readNormedGemma(fields, sizes.hiddenSize, { scores: 50, logits: 30 }),
    };
  },
  weights: (config) => normedGemmaWeights(config),
};

/**
 * Reads what Gemma 2 and 3 share beyond sizes and windows. Caps are those of a config that does not say; a null is none. Without one for
 * scores the family has none: transformers passes over one that a config names.
 */
export function readNormedGemma(
  fields: JsonFields,
  hiddenSize: number,
  caps: { readonly scores?: number; readonly logits?: number },
): Pick<
  ModelConfig,
  "embedScale" | "scoreScale" | "scoreCap" | "logitCap" | "outputNorms" | "qkvBias" | "outputBias" | "mlpBias"
> {
  if (fields.boolean("use_bidirectional_attention", false)) {
    fields.problem("use_bidirectional_attention is true, supported is causal attention");
  }
  const attentionBias = fields.boolean("attention_bias", false);
  const cap = (name: string, fallback: number | undefined): number | undefined => {
    const isNone = fields.raw(name) === undefined && (fallback === undefined || fields.has(name));
    return isNone ? undefined : fields.number(name, { above: 0, ...(fallback !== undefined && { fallback }) });
  };
  const scoreCap = cap("attn_logit_softcapping", caps.scores);
  if (caps.scores === undefined && scoreCap !== undefined) {
    fields.problem(
      `attn_logit_softcapping is ${scoreCap}, supported is a model without it: transformers passes it over`,
    );
  }
  const logitCap = cap("final_logit_softcapping", caps.logits);
  return {
    embedScale: embedScale(fields, hiddenSize),
    scoreScale: fields.number("query_pre_attn_scalar", { above: 0, fallback: 256 }) ** -0.5,
    ...(scoreCap !== undefined && { scoreCap }),
    ...(logitCap !== undefined && { logitCap }),
    outputNorms: "after",
    qkvBias: attentionBias,
    outputBias: attentionBias,
    mlpBias: false,
  };
}

/** Weights of Gemma 2 and 3: their `post_attention_layernorm` stands behind attention, not in front of the MLP. */
export function normedGemmaWeights(config: ModelConfig): WeightSource[] {
  const { scoreScale = 1, headDim } = config;
  return llamaWeights(config, { normChange: "add-one", queryScale: scoreScale * Math.sqrt(headDim), normNames });
}

const normNames = {
  mlp: "pre_feedforward_layernorm",
  attentionOutput: "post_attention_layernorm",
  mlpOutput: "post_feedforward_layernorm",
};
