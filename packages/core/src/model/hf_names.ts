/** Which tensors of a Hugging Face checkpoint make up each weight of ours: names, order of stacking and shapes. */
import { architectureOf } from "./architecture.ts";
import type { ModelConfig } from "./config.ts";
import { isLinearMap, type LayerWeight, weightNames } from "./weights.ts";

/** One tensor of the checkpoint. Files of a bare model (`LlamaModel`, `GPT2Model`) leave out the leading `model.` or `transformer.`. */
export interface WeightPart {
  readonly hfName: string;
  /** As it is stored. */
  readonly shape: readonly number[];
  /**
   * What a loader does to the numbers, so that engines know one kind of linear map and of norm: `transpose` a map that is
   * stored `[in, out]` (transformers' Conv1D), or `add-one` in float32 to a norm that is stored as its distance from 1.
   */
  readonly change?: "transpose" | "add-one";
  /** The tensor that is the same one where this one is missing: a tied head may be stored instead of the embedding. */
  readonly standIn?: string;
}

/** One weight of ours: the rows of its parts, stacked in order. */
export interface WeightSource {
  readonly name: string;
  readonly shape: readonly number[];
  readonly parts: readonly WeightPart[];
}

const HEAD = "lm_head.weight";

/** All weights that this model needs, in the order of use in a forward pass. */
export function weightSources(config: ModelConfig): WeightSource[] {
  return config.modelType === "gpt2" ? gpt2Sources(config) : llamaSources(config);
}

/** Numbers in the base; a tied head counts once, as in PyTorch. */
export function parameterCount(config: ModelConfig): number {
  return weightSources(config).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0);
}

/** Numbers of the linear maps of all layers, which are what `storage` and packing are about. */
export function linearMapCount(config: ModelConfig): number {
  const maps = weightSources(config).filter(({ name }) => isLinearMap(name));
  return maps.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0);
}

/** The names under which a checkpoint may hold this tensor, the usual one first. */
export function acceptedNames(hfName: string, config: Pick<ModelConfig, "modelType">): readonly string[] {
  const prefix = `${architectureOf(config).modules.root}.`;
  return hfName.startsWith(prefix) ? [hfName, hfName.slice(prefix.length)] : [hfName];
}

/** Llama and all that are named like it: Mistral, Qwen2, Gemma. */
function llamaSources(config: ModelConfig): WeightSource[] {
  const { hiddenSize: D, intermediateSize: F, heads, kvHeads, headDim } = config;
  const Q = heads * headDim;
  const KV = kvHeads * headDim;
  const norm = (hfName: string): WeightPart =>
    config.modelType === "gemma" ? { hfName, shape: [D], change: "add-one" } : { hfName, shape: [D] };
  const sources = [embeddingSource(config, "model.embed_tokens.weight")];
  for (let i = 0; i < config.layers; i++) {
    const layer = `model.layers.${i}`;
    const add = (name: LayerWeight, ...parts: WeightPart[]) =>
      sources.push(stacked(weightNames.layer(i, name), ...parts));
    const attention = (projection: string, ...shape: number[]) => ({
      hfName: `${layer}.self_attn.${projection}`,
      shape,
    });
    const mlp = (projection: string, ...shape: number[]) => ({ hfName: `${layer}.mlp.${projection}`, shape });
    add("attnNorm", norm(`${layer}.input_layernorm.weight`));
    add("qkv", attention("q_proj.weight", Q, D), attention("k_proj.weight", KV, D), attention("v_proj.weight", KV, D));
    add("o", attention("o_proj.weight", D, Q));
    if (config.qkvBias) {
      add("qkvBias", attention("q_proj.bias", Q), attention("k_proj.bias", KV), attention("v_proj.bias", KV));
    }
    if (config.outputBias) add("oBias", attention("o_proj.bias", D));
    add("mlpNorm", norm(`${layer}.post_attention_layernorm.weight`));
    add("gateUp", mlp("gate_proj.weight", F, D), mlp("up_proj.weight", F, D));
    add("down", mlp("down_proj.weight", D, F));
    if (config.mlpBias) {
      add("gateUpBias", mlp("gate_proj.bias", F), mlp("up_proj.bias", F));
      add("downBias", mlp("down_proj.bias", D));
    }
  }
  sources.push(stacked(weightNames.finalNorm, norm("model.norm.weight")), ...headSource(config));
  return sources;
}

/** The rows of `c_attn`, once transposed, are those of queries, keys and values: no stacking is needed. */
function gpt2Sources(config: ModelConfig): WeightSource[] {
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

function embeddingSource({ tiedEmbeddings, vocabSize, hiddenSize }: ModelConfig, hfName: string): WeightSource {
  const part = { hfName, shape: [vocabSize, hiddenSize] };
  return stacked(weightNames.embed, tiedEmbeddings ? { ...part, standIn: HEAD } : part);
}

function headSource({ tiedEmbeddings, vocabSize, hiddenSize }: ModelConfig): WeightSource[] {
  if (tiedEmbeddings) return [];
  return [stacked(weightNames.head, { hfName: HEAD, shape: [vocabSize, hiddenSize] })];
}

function stacked(name: string, ...parts: readonly WeightPart[]): WeightSource {
  const shapes = parts.map(({ shape, change }) => (change === "transpose" ? shape.toReversed() : shape));
  const rows = shapes.reduce((sum, [own = 0]) => sum + own, 0);
  return { name, shape: [rows, ...(shapes[0]?.slice(1) ?? [])], parts };
}
