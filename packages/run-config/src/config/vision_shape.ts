/** What a config says of an adapter that sees images, once the size of their features is known. */
import type { VisionShape } from "@zerogate/core";
import type { TrainConfig } from "./train_config.ts";

/** The keys that decide it. */
export type VisionShapeKey =
  | "fusion"
  | "projectionSize"
  | "visionEmbed"
  | "visionBlocks"
  | "visionHeads"
  | "visionMlp"
  | "missingImage";

/** Features of this many numbers come from CLIP ViT-L/14, for which the paper's count of parameters means 68 units. */
const LARGE_FEATURES = 4096;

/** From this width on a transformer is as deep as the released one, of 768. */
const LARGE_EMBED = 512;

/** The part of an adapter's shape that is about images. */
export function visionShape(config: Pick<TrainConfig, VisionShapeKey>, featureSize: number): VisionShape {
  const { fusion, missingImage } = config;
  if (fusion === "global") {
    const projectionSize = config.projectionSize || (featureSize >= LARGE_FEATURES ? 68 : 32);
    return { fusion, featureSize, projectionSize, missingImage };
  }
  const embedSize = config.visionEmbed || featureSize;
  const [blocks, heads] = embedSize >= LARGE_EMBED ? [8, 16] : [2, 4];
  return {
    fusion,
    featureSize,
    embedSize,
    blocks: config.visionBlocks || blocks,
    heads: config.visionHeads || heads,
    mlpSize: config.visionMlp || 4 * embedSize,
    blockEps: 1e-6,
    normEps: 1e-5,
    missingImage: missingImage === "zeros" ? "none" : missingImage, // refused with this fusion, see visionContradictions
  };
}

/** What is wrong between keys of images that are each right. */
export function visionContradictions(
  config: Pick<TrainConfig, VisionShapeKey | "severalImages" | "visionParts" | "initAdapter">,
): string[] {
  const { fusion, missingImage, severalImages, visionParts, initAdapter } = config;
  const problems: string[] = [];
  if (fusion === "query" && missingImage === "zeros") {
    problems.push("missingImage is zeros, which is for the fusion global: use none or zero-image");
  }
  if (fusion === "global" && severalImages === "concat") {
    problems.push("severalImages is concat, which is for the fusion query: use mean");
  }
  const others =
    fusion === "global"
      ? (["visionEmbed", "visionBlocks", "visionHeads", "visionMlp"] as const)
      : (["projectionSize"] as const);
  for (const key of others) {
    if (config[key] > 0) problems.push(`${key} is ${config[key]}, which is not for the fusion ${fusion}: leave it out`);
  }
  if (visionParts === "frozen" && initAdapter === undefined) {
    problems.push(
      "visionParts is frozen, and nothing was trained that could be: give initAdapter, an adapter that sees images",
    );
  }
  return problems;
}
