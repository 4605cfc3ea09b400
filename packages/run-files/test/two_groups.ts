/** A table as no adapter of this project has it: a vector without a layer, in a group and a file of its own. */
import { adapterLayout, type ParameterTable } from "@zerogate/core";
import { parameterTable } from "@zerogate/core/training";

/** Layer 2 with a prompt of two numbers and two gates, then a vector of three numbers. */
export function tableOfTwoGroups(): ParameterTable {
  const shape = { promptLength: 1, adaptedLayers: 1, gateSharing: "per-head", gateActivation: "none" } as const;
  const base = { modelType: "llama", layers: 3, hiddenSize: 2, heads: 2, outputBias: false };
  return parameterTable([
    ...adapterLayout(shape, base).table,
    {
      name: "norm",
      part: "bias",
      layer: undefined,
      shape: [3],
      init: "ones",
      decays: [],
      learningRateFactor: 0.1,
      group: 1,
      gradientLimit: 512,
      file: "tuning.safetensors",
      fileName: "norm.weight",
    },
  ]);
}
