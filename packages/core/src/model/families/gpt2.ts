/** GPT-2: LayerNorm, learned positions, linear maps stored [in, out]. Dropouts have no meaning here: a frozen base runs without them. */
import { type JsonFields, shown } from "../../formats/json_fields.ts";
import type { ModelConfig } from "../config.ts";
import { checkName, MAX_LAYERS, tokenIds } from "../hf_fields.ts";
import { embeddingSource, headSource, stacked, type WeightSource } from "../weight_sources.ts";
import { type LayerWeight, weightNames } from "../weights.ts";
import type { ConfigReading, Family } from "./family.ts";

export const gpt2: Family = {
  modelType: "gpt2",
  classes: ["GPT2LMHeadModel", "GPT2Model"],
  architecture: {
    norm: "layer",
    activation: "gelu",
    positions: "learned",
    promptsJoin: "after-output",
    modules: { root: "transformer", layers: "h", attention: "attn" },
  },
  read,
  weights,
  isBuffer: (name, { length }) => (name.endsWith(".attn.bias") && length === 4) || name.endsWith(".attn.masked_bias"),
};

/** Switches that would change the attention, with the value that they must have. */
const fixed = { scale_attn_weights: true, scale_attn_by_inverse_layer_idx: false, add_cross_attention: false } as const;

/** transformers takes the other families' names as well (`attribute_map`). */
const otherNames = {
  n_embd: "hidden_size",
  n_head: "num_attention_heads",
  n_layer: "num_hidden_layers",
  n_positions: "max_position_embeddings",
} as const;

/** The name under which this config has the field. */
function nameOf(fields: JsonFields, name: keyof typeof otherNames): string {
  const other = otherNames[name];
  const [own, alias] = [fields.raw(name), fields.raw(other)];
  if (own !== undefined && alias !== undefined && own !== alias) {
    fields.problem(`${name} is ${shown(own)}, ${other} is ${shown(alias)}, needed is one of them`);
  }
  return own === undefined && alias !== undefined ? other : name;
}

function read({ fields }: ConfigReading): Omit<ModelConfig, "modelType"> {
  const hiddenSize = fields.integer(nameOf(fields, "n_embd"), { min: 1 });
  const heads = fields.integer(nameOf(fields, "n_head"), { min: 1 });
  if (hiddenSize % heads > 0) fields.problem(`n_embd is ${hiddenSize}, needed is a multiple of the ${heads} heads`);
  // Both are the tanh approximation; "gelu" is the exact one, which is another function.
  checkName(fields, "activation_function", "gelu_new", ["gelu_new", "gelu_pytorch_tanh"]);
  for (const [name, needed] of Object.entries(fixed)) {
    if (fields.boolean(name, needed) !== needed) fields.problem(`${name} is ${!needed}, supported is ${needed}`);
  }
  fields.raw("reorder_and_upcast_attn"); // changes rounding only
  return {
    vocabSize: fields.integer("vocab_size", { min: 1 }),
    hiddenSize,
    intermediateSize: fields.integer("n_inner", { min: 1, fallback: 4 * hiddenSize }),
    layers: fields.integer(nameOf(fields, "n_layer"), { min: 1, max: MAX_LAYERS }),
    heads,
    kvHeads: heads,
    headDim: Math.floor(hiddenSize / heads),
    contextLength: fields.integer(nameOf(fields, "n_positions"), { min: 1, fallback: 1024 }),
    normEps: fields.number("layer_norm_epsilon", { above: 0, fallback: 1e-5 }),
    ropeTheta: 10_000,
    ropeScaling: { type: "default" },
    slidingWindow: 0,
    slidingLayers: undefined,
    embedScale: 1,
    tiedEmbeddings: fields.boolean("tie_word_embeddings", true),
    qkvBias: true,
    outputBias: true,
    mlpBias: true,
    bosTokenId: tokenIds(fields, "bos_token_id", [50_256])[0],
    eosTokenIds: tokenIds(fields, "eos_token_id", [50_256]),
  };
}

/** The rows of `c_attn`, once transposed, are those of queries, keys and values: no stacking is needed. */
function weights(config: ModelConfig): WeightSource[] {
  const { hiddenSize: D, intermediateSize: F } = config;
  const sources = [
    embeddingSource(config, "transformer.wte.weight"),
    stacked(weightNames.positions, { hfName: "transformer.wpe.weight", shape: [config.contextLength, D] }),
  ];
  for (let i = 0; i < config.layers; i++) {
    const add = (weight: LayerWeight, name: string, ...shape: number[]) => {
      const part = { hfName: `transformer.h.${i}.${name}`, shape };
      const isMap = shape.length > 1;
      sources.push(stacked(weightNames.layer(i, weight), isMap ? { ...part, change: "transpose" } : part));
    };
    add("attnNorm", "ln_1.weight", D);
    add("attnNormBias", "ln_1.bias", D);
    add("qkv", "attn.c_attn.weight", D, 3 * D);
    add("o", "attn.c_proj.weight", D, D);
    add("qkvBias", "attn.c_attn.bias", 3 * D);
    add("oBias", "attn.c_proj.bias", D);
    add("mlpNorm", "ln_2.weight", D);
    add("mlpNormBias", "ln_2.bias", D);
    add("gateUp", "mlp.c_fc.weight", D, F);
    add("down", "mlp.c_proj.weight", F, D);
    add("gateUpBias", "mlp.c_fc.bias", F);
    add("downBias", "mlp.c_proj.bias", D);
  }
  sources.push(
    stacked(weightNames.finalNorm, { hfName: "transformer.ln_f.weight", shape: [D] }),
    stacked(weightNames.finalNormBias, { hfName: "transformer.ln_f.bias", shape: [D] }),
    ...headSource(config),
  );
  return sources;
}
