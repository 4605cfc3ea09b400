/**
 * Adaption prompts of one layer, `[K, D]`: rows beside the hidden states, projected to keys and values by the layer's own
 * frozen weights. PEFT stores them as `[1, K, D]`.
 */

import type { DecoderModel } from "../../model/decoder.ts";
import { promptKv } from "../../model/prompt_kv.ts";
import type { PromptKv } from "../../model/prompts.ts";
import type { MapVectors } from "../../model/tuned.ts";
import { ADDEND_LIMIT } from "../../sum/fixed_point.ts";
import type { TrainedPart } from "../parameters.ts";

/** Starts as PEFT makes it: N(0, 1), standard deviation 1 and not 0.02. The stream of random numbers is the layer's. */
export function promptPart(
  layer: number,
  [K, D]: readonly [K: number, D: number],
  place: Pick<TrainedPart, "file" | "fileName">,
): Omit<TrainedPart, "offset"> {
  return {
    name: `layers.${layer}.prompt`,
    part: "prompt",
    layer,
    shape: [1, K, D],
    init: { normal: 1, stream: layer },
    decays: ["all", "original"],
    learningRateFactor: 1,
    group: 0,
    gradientLimit: ADDEND_LIMIT,
    ...place,
  };
}

/** Keys and values of a layer's prompts, on the engine; under the vectors that tune these maps, if there are some. */
export function promptKeysValues(
  model: DecoderModel,
  layer: number,
  prompt_KD: Float32Array,
  K: number,
  vectors?: MapVectors,
): PromptKv {
  const uploaded_KD = model.engine.upload(prompt_KD);
  const made = promptKv(model, model.layers[layer], uploaded_KD, K, { vectors });
  model.engine.free(uploaded_KD);
  return made;
}
