/** The tensors of a layer that has a gated delta net in place of attention, as Qwen 3.5 names them. */
import { deltaWidths } from "../../engine/delta_size.ts";
import type { ModelConfig } from "../config.ts";
import { stacked, type WeightSource } from "../weight_sources.ts";
import { type LayerWeight, weightNames } from "../weights.ts";

/** Whether layer i has a delta net. */
export function isDelta({ deltaNet }: Pick<ModelConfig, "deltaNet">, i: number): boolean {
  return deltaNet?.layers.includes(i) ?? false;
}

/** Projections and weights of layer i, whose tensors begin with `layer`. Its own norm is stored as it is, unlike the others. */
export function deltaSources({ hiddenSize: D, deltaNet }: ModelConfig, i: number, layer: string): WeightSource[] {
  if (!deltaNet) return [];
  const { valueHeads: N, valueDim, taps } = deltaNet;
  const { C, M } = deltaWidths(deltaNet);
  const name = (weight: LayerWeight) => weightNames.layer(i, weight);
  const part = (path: string, ...shape: number[]) => ({ hfName: `${layer}.linear_attn.${path}`, shape });
  return [
    stacked(name("qkv"), part("in_proj_qkv.weight", C, D), part("in_proj_z.weight", M, D)),
    stacked(name("deltaGates"), part("in_proj_b.weight", N, D), part("in_proj_a.weight", N, D)),
    { name: name("deltaConv"), shape: [C, taps], parts: [part("conv1d.weight", C, 1, taps)] },
    stacked(name("deltaRate"), part("A_log", N)),
    stacked(name("deltaBias"), part("dt_bias", N)),
    stacked(name("deltaNorm"), part("norm.weight", valueDim)),
    stacked(name("o"), part("out_proj.weight", D, M)),
  ];
}
