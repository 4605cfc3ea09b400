/** CLIP's image half (Radford et al. 2021, arXiv:2103.00020), alone, in a whole CLIP, or in a LLaVA. */
import type { TowerFamily } from "./family.ts";

export const clip: TowerFamily = {
  name: "clip",
  modelType: "clip_vision_model",
  defaults: { patchSize: 32, normEps: 1e-5, activation: "quick_gelu" },
  names: {
    patches: "embeddings.patch_embedding",
    hasPatchBias: false,
    positions: "embeddings.position_embedding.weight",
    classToken: "embeddings.class_embedding",
    preNorm: "pre_layrnorm", // spelled so
    layers: "encoder.layers",
    attnNorm: "layer_norm1",
    query: "self_attn.q_proj",
    key: "self_attn.k_proj",
    value: "self_attn.v_proj",
    output: "self_attn.out_proj",
    mlpNorm: "layer_norm2",
    up: "mlp.fc1",
    down: "mlp.fc2",
    finalNorm: "post_layernorm",
    projection: "visual_projection",
    head: undefined,
  },
};
