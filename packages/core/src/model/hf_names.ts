/** Which tensors of a Hugging Face checkpoint make up each weight of ours: names, order of stacking and shapes. */
import type { ModelConfig } from "./config.ts";
import { type LayerWeight, weightNames } from "./weights.ts";

/** One tensor of the checkpoint. Files of a bare `DecoderModel` leave out the leading `model.`. */
interface WeightPart {
  readonly hfName: string;
  readonly shape: readonly number[];
}

/** One weight of ours: the rows of its parts, stacked in order. */
export interface WeightSource {
  readonly name: string;
  readonly shape: readonly number[];
  readonly parts: readonly WeightPart[];
}

/** All weights that this model needs, in the order of use in a forward pass. */
export function weightSources(config: ModelConfig): WeightSource[] {
  const { vocabSize: V, hiddenSize: D, intermediateSize: F, heads, kvHeads, headDim } = config;
  const Q = heads * headDim;
  const KV = kvHeads * headDim;
  const sources = [source(weightNames.embed, [V, D], ["model.embed_tokens.weight", [V, D]])];
  for (let i = 0; i < config.layers; i++) {
    const layer = `model.layers.${i}`;
    const attention = (projection: string) => `${layer}.self_attn.${projection}`;
    const mlp = (projection: string) => `${layer}.mlp.${projection}`;
    const add = (name: LayerWeight, shape: number[], ...parts: [string, number[]][]) =>
      sources.push(source(weightNames.layer(i, name), shape, ...parts));
    add("attnNorm", [D], [`${layer}.input_layernorm.weight`, [D]]);
    add(
      "qkv",
      [Q + 2 * KV, D],
      [attention("q_proj.weight"), [Q, D]],
      [attention("k_proj.weight"), [KV, D]],
      [attention("v_proj.weight"), [KV, D]],
    );
    add("o", [D, Q], [attention("o_proj.weight"), [D, Q]]);
    if (config.attentionBias) {
      add(
        "qkvBias",
        [Q + 2 * KV],
        [attention("q_proj.bias"), [Q]],
        [attention("k_proj.bias"), [KV]],
        [attention("v_proj.bias"), [KV]],
      );
      add("oBias", [D], [attention("o_proj.bias"), [D]]);
    }
    add("mlpNorm", [D], [`${layer}.post_attention_layernorm.weight`, [D]]);
    add("gateUp", [2 * F, D], [mlp("gate_proj.weight"), [F, D]], [mlp("up_proj.weight"), [F, D]]);
    add("down", [D, F], [mlp("down_proj.weight"), [D, F]]);
    if (config.mlpBias) {
      add("gateUpBias", [2 * F], [mlp("gate_proj.bias"), [F]], [mlp("up_proj.bias"), [F]]);
      add("downBias", [D], [mlp("down_proj.bias"), [D]]);
    }
  }
  sources.push(source(weightNames.finalNorm, [D], ["model.norm.weight", [D]]));
  if (!config.tiedEmbeddings) sources.push(source(weightNames.head, [V, D], ["lm_head.weight", [V, D]]));
  return sources;
}

/** The names under which a checkpoint may hold this tensor, the usual one first. */
export function acceptedNames(hfName: string): readonly string[] {
  return hfName.startsWith("model.") ? [hfName, hfName.slice("model.".length)] : [hfName];
}

function source(name: string, shape: readonly number[], ...parts: [string, number[]][]): WeightSource {
  return { name, shape, parts: parts.map(([hfName, partShape]) => ({ hfName, shape: partShape })) };
}
