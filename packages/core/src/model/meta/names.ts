/** Names of tensors in Meta's files, and how model parallelism cuts them over several. */

/** A tensor of Meta's under its name in transformers. */
export interface MetaTensor {
  readonly hfName: string;
  /** The dimension that shards are parts of; undefined if each of them holds the whole. */
  readonly cut: 0 | 1 | undefined;
  /** Rows of its heads are in Meta's order, see `pairedRows`. */
  readonly heads?: "queries" | "keys";
}

const ofModel: Readonly<Record<string, MetaTensor>> = {
  "tok_embeddings.weight": { hfName: "model.embed_tokens.weight", cut: 1 },
  "norm.weight": { hfName: "model.norm.weight", cut: undefined },
  "output.weight": { hfName: "lm_head.weight", cut: 0 },
};

const ofLayer: Readonly<Record<string, MetaTensor>> = {
  "attention.wq": { hfName: "self_attn.q_proj", cut: 0, heads: "queries" },
  "attention.wk": { hfName: "self_attn.k_proj", cut: 0, heads: "keys" },
  "attention.wv": { hfName: "self_attn.v_proj", cut: 0 },
  "attention.wo": { hfName: "self_attn.o_proj", cut: 1 },
  "feed_forward.w1": { hfName: "mlp.gate_proj", cut: 0 },
  "feed_forward.w2": { hfName: "mlp.down_proj", cut: 1 },
  "feed_forward.w3": { hfName: "mlp.up_proj", cut: 0 },
  attention_norm: { hfName: "input_layernorm", cut: undefined },
  ffn_norm: { hfName: "post_attention_layernorm", cut: undefined },
};

/** Angles of the rotation, which the config says too. */
const angles = /^(?:rope\.freqs|layers\.\d+\.attention\.inner_attention\.rope\.freqs)$/;

/** Returns what a tensor is in transformers; null for one that is not needed, undefined for one that is not known. */
export function metaTensor(name: string): MetaTensor | null | undefined {
  if (angles.test(name)) return null;
  if (Object.hasOwn(ofModel, name)) return ofModel[name];
  const [, layer, kind = ""] = /^layers\.(\d{1,5})\.([\w.]+)\.weight$/.exec(name) ?? [];
  if (layer === undefined || !Object.hasOwn(ofLayer, kind)) return undefined;
  const { hfName, ...others } = ofLayer[kind];
  return { ...others, hfName: `model.layers.${layer}.${hfName}.weight` };
}
