/** The Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929). Its pooler, of classifiers, is not a part of the tower. */
import type { TowerFamily } from "./family.ts";

export const vit: TowerFamily = {
  name: "vit",
  modelType: "vit",
  defaults: { patchSize: 16, normEps: 1e-12, activation: "gelu" },
  names: {
    patches: "embeddings.patch_embeddings.projection",
    hasPatchBias: true,
    positions: "embeddings.position_embeddings",
    classToken: "embeddings.cls_token",
    preNorm: undefined,
    layers: "encoder.layer",
    attnNorm: "layernorm_before",
    query: "attention.attention.query",
    key: "attention.attention.key",
    value: "attention.attention.value",
    output: "attention.output.dense",
    mlpNorm: "layernorm_after",
    up: "intermediate.dense",
    down: "output.dense",
    finalNorm: "layernorm",
    projection: undefined,
    head: undefined,
  },
};
