/** What a config says of an adapter that sees images, once the size of their features is known. */
import type { VisionShape } from "@zerogate/core";
import type { TrainConfig } from "./train_config.ts";

/** Features of this many numbers come from CLIP ViT-L/14, for which the paper's count of parameters means 68 units. */
const LARGE_FEATURES = 4096;

/** The part of an adapter's shape that is about images. */
export function visionShape(
  { projectionSize, missingImage }: Pick<TrainConfig, "projectionSize" | "missingImage">,
  featureSize: number,
): VisionShape {
  const units = projectionSize || (featureSize >= LARGE_FEATURES ? 68 : 32);
  return { fusion: "global", featureSize, projectionSize: units, missingImage };
}
