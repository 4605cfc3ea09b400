/** The image that some adapters see in place of one that is missing: its numbers are all zero, as the authors of V2 have it. */
import type { SeenFeatures } from "@zerogate/core/formats";
import { type Tower, towerFeatures } from "@zerogate/core/vision";

/** What the tower makes of an image whose numbers are all zero. */
export async function zeroFeatures(
  tower: Tower,
  { features, featureNorm }: Pick<SeenFeatures, "features" | "featureNorm">,
): Promise<Float32Array> {
  const pixels = new Float32Array(3 * tower.config.imageSize ** 2);
  return (await towerFeatures(tower, [pixels], { features, featureNorm })).values;
}
