/** GPT-NeoX and Pythia: LayerNorm, parallel layers, a quarter of each head rotates, queries, keys and values interleaved by head. */
import type { ModelConfig } from "../config.ts";
import { embeddingSource, headSource, stacked, type WeightPart, type WeightSource } from "../weight_sources.ts";
import { type LayerWeight, weightNames } from "../weights.ts";
import type { Family } from "./family.ts";
import { checkWholeHeads, llamaDefaults, noWindow, readSizes, readTokens } from "./llama.ts";
import { rotaryRows } from "./rotary_rows.ts";

const HEAD = "embed_out.weight";

/** Names of the two functions; the others are gelu in its tanh approximation. */
const exactGelu = ["gelu", "gelu_python"];
const tanhGelu = ["gelu_fast", "gelu_new", "gelu_pytorch_tanh"];

const defaults = {
  ...llamaDefaults,
  hasKvHeads: false,
  normEps: 1e-5,
  normEpsKey: "layer_norm_eps" as const,
  rope: { ropeTheta: 10_000, ropeThetaKey: "rotary_emb_base", partialRotation: 0.25, partialRotationKey: "rotary_pct" },
  activation: "gelu",
  activations: [...exactGelu, ...tanhGelu],
  bosTokenId: [0],
};

export const gptNeox: Family = {
  modelType: "gpt_neox",
  classes: ["GPTNeoXForCausalLM", "GPTNeoXModel"],
  architecture: {
    norm: "layer",
    activation: "geluErf",
    positions: "rotary",
    promptsJoin: "before-output",
    modules: { root: "gpt_neox", layers: "layers", attention: "attention" },
  },
  read(reading) {
    const { fields } = reading;
    const sizes = readSizes(reading, defaults);
    checkWholeHeads(fields, sizes);
    const attentionBias = fields.boolean("attention_bias", true);
    return {
      ...sizes,
      ...noWindow,
      ...readTokens(fields, defaults),
      ...(tanhGelu.some((name) => name === fields.raw("hidden_act")) && { activation: "gelu" as const }),
      embedScale: 1,
      parallelResidual: fields.boolean("use_parallel_residual", true),
      qkvBias: attentionBias,
      outputBias: attentionBias,
      mlpBias: true,
    };
  },
  weights,
  headName: HEAD,
  isBuffer: (name) => /\.attention\.(?:bias|masked_bias|rotary_emb\.inv_freq)$/.test(name),
};

function weights(config: ModelConfig): WeightSource[] {
  const { hiddenSize: D, intermediateSize: F } = config;
  const sources = [embeddingSource(config, "gpt_neox.embed_in.weight", HEAD)];
  const add = (name: string, part: WeightPart) => sources.push(stacked(name, part));
  for (let i = 0; i < config.layers; i++) {
    const own = (weight: LayerWeight) => weightNames.layer(i, weight);
    const stored = (path: string, ...shape: number[]) => ({ hfName: `gpt_neox.layers.${i}.${path}`, shape });
    const rowTo = interleavedRows(config);
    add(own("attnNorm"), stored("input_layernorm.weight", D));
    add(own("attnNormBias"), stored("input_layernorm.bias", D));
    add(own("qkv"), { ...stored("attention.query_key_value.weight", 3 * D, D), rowTo });
    add(own("o"), stored("attention.dense.weight", D, D));
    if (config.qkvBias) add(own("qkvBias"), { ...stored("attention.query_key_value.bias", 3 * D), rowTo });
    if (config.outputBias) add(own("oBias"), stored("attention.dense.bias", D));
    add(own("mlpNorm"), stored("post_attention_layernorm.weight", D));
    add(own("mlpNormBias"), stored("post_attention_layernorm.bias", D));
    add(own("gateUp"), stored("mlp.dense_h_to_4h.weight", F, D));
    add(own("down"), stored("mlp.dense_4h_to_h.weight", D, F));
    add(own("gateUpBias"), stored("mlp.dense_h_to_4h.bias", F));
    add(own("downBias"), stored("mlp.dense_4h_to_h.bias", D));
  }
  add(weightNames.finalNorm, { hfName: "gpt_neox.final_layer_norm.weight", shape: [D] });
  add(weightNames.finalNormBias, { hfName: "gpt_neox.final_layer_norm.bias", shape: [D] });
  return [...sources, ...headSource(config, HEAD)];
}

/** The file has head by head its d rows of q, of k and of v; ours are all of q, all of k, all of v. */
function interleavedRows(config: ModelConfig): (stored: number) => number {
  const { heads: H, headDim: d } = config;
  const rotated = rotaryRows(config, 2 * H) ?? ((row: number) => row);
  return (stored) => {
    const head = Math.floor(stored / (3 * d));
    const which = Math.floor((stored % (3 * d)) / d); // 0 q, 1 k, 2 v
    return rotated((which * H + head) * d + (stored % d));
  };
}
