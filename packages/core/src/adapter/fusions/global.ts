/** The fusion `global` (LLaMA-Adapter v1): one vector for each image, a projection of its features, is added to all prompts. */
import type { ImageInput } from "../../cell/tokens.ts";
import { wideArithmeticOf } from "../../kernels/wide_linear.ts";
import { imageValues } from "../../model/images.ts";
import type { ProjectionShape } from "../layout.ts";
import { trainedLayers } from "../parameters.ts";
import { addedToPrompts, addedToPromptsBackward, projectionParts } from "../parts/projection.ts";
import type { Fusion } from "./fusion.ts";

export function globalFusion(vision: ProjectionShape): Fusion {
  const { featureSize: C } = vision;
  return {
    parts: (base) => projectionParts(vision, base),

    misfit: (image) => ("queries" in image || image.length !== C ? String(C) : undefined),

    bind(adapter, model, images) {
      const wide = wideArithmeticOf(model.engine);
      const added_ND = addedToPrompts(adapter, vision, featuresOf(images, C), wide);
      return imageValues(model, trainedLayers(adapter.layout.table), added_ND);
    },

    pullBack(bound, adapter, images, gradient, wide) {
      // The same vector was added in every layer.
      const dadded_ND = new Float64Array(images.length * adapter.layout.base.hiddenSize);
      for (const { dimages } of bound) {
        if (dimages) for (let i = 0; i < dadded_ND.length; i++) dadded_ND[i] += dimages[i];
      }
      addedToPromptsBackward(adapter, vision, { features_NC: featuresOf(images, C), dadded_ND }, gradient, wide);
    },
  };
}

function featuresOf(images: readonly ImageInput[], C: number): Float32Array {
  const features_NC = new Float32Array(images.length * C);
  for (const [n, image] of images.entries()) if (!("queries" in image)) features_NC.set(image, n * C);
  return features_NC;
}
