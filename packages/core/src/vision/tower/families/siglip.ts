/** SigLIP's image half (Zhai et al. 2023, arXiv:2303.15343): no class token; attention with a learned query pools the patches. */
import { clip } from "./clip.ts";
import type { TowerFamily } from "./family.ts";

export const siglip: TowerFamily = {
  name: "siglip",
  modelType: "siglip_vision_model",
  defaults: { patchSize: 16, normEps: 1e-6, activation: "gelu_pytorch_tanh" },
  names: {
    ...clip.names,
    hasPatchBias: true,
    classToken: undefined,
    preNorm: undefined,
    projection: undefined,
    head: "head",
  },
};
