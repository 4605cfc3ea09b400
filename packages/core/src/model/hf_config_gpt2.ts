/** GPT-2's config. Dropouts have no meaning here: a frozen base runs without them. */
import { type JsonFields, shown } from "../formats/json_fields.ts";
import type { ModelConfig } from "./config.ts";
import { checkName, MAX_LAYERS, tokenIds } from "./hf_fields.ts";

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

/** Reports what is wrong to `fields`; the result is then not to be used. */
export function parseGpt2(fields: JsonFields): ModelConfig {
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
    modelType: "gpt2",
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
