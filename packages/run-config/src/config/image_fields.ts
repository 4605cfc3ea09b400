/** The keys of runs that see images, a part of `fields`. */
import { scienceFormats } from "@zerogate/data/words";
import { added, count, type Field, nameList, oneOf, onOff, optional, path, positive } from "./kinds.ts";
import { MAX_PROJECTION, MAX_VISION_BLOCKS, MAX_VISION_WIDTH } from "./limits.ts";
import type { ConfigKey, TrainConfig } from "./train_config.ts";

type ImageKey =
  | "tower"
  | "imageRoot"
  | "fusion"
  | "features"
  | "featureNorm"
  | "projectionSize"
  | "visionEmbed"
  | "visionBlocks"
  | "visionHeads"
  | "visionMlp"
  | "missingImage"
  | "severalImages"
  | "visionLearningRate"
  | "visionParts"
  | "channelOrder"
  | "exif"
  | "scienceFormat"
  | "captions"
  | "conversation";

/** In the order of help. */
export const imageFields: { readonly [K in ImageKey & ConfigKey]: Field<TrainConfig[K]> } = {
  tower: added(
    "0.2.0",
    "none",
    optional("Images", path("the folder of a tower, or none", "<dir>"), "folder of the tower that sees images", "none"),
  ),
  imageRoot: added(
    "0.2.0",
    "beside-data",
    optional(
      "Images",
      path("a folder", "<dir>"),
      "folder that images are in, beside-data: that of the data file",
      "beside-data",
    ),
  ),
  fusion: added(
    "0.2.0",
    "global",
    optional(
      "Images",
      oneOf(["global", "query"]),
      "one vector for all prompts, or visual queries: one for each",
      "global",
    ),
  ),
  features: added(
    "0.2.0",
    "global",
    optional(
      "Images",
      nameList("global, or names as cls@4,mean@-1"),
      "which states of the tower describe an image, global: what the fusion takes",
      "global",
    ),
  ),
  featureNorm: added(
    "0.2.0",
    "layer",
    optional("Images", oneOf(["layer", "none"]), "whether each feature is normalised", "layer"),
  ),
  projectionSize: added(
    "0.2.0",
    0,
    optional(
      "Images",
      count(0, MAX_PROJECTION),
      "units of the projection, 0: 68 for features of 4096 numbers or more, else 32",
      0,
    ),
  ),
  visionEmbed: added(
    "0.2.0",
    0,
    optional("Images", count(0, MAX_VISION_WIDTH), "width of the transformer of query, 0: that of the tokens", 0),
  ),
  visionBlocks: added(
    "0.2.0",
    0,
    optional("Images", count(0, MAX_VISION_BLOCKS), "its blocks, 0: 8 for a width of 512 or more, else 2", 0),
  ),
  visionHeads: added(
    "0.2.0",
    0,
    optional("Images", count(0, MAX_VISION_WIDTH), "heads of a block, 0: 16 for a width of 512 or more, else 4", 0),
  ),
  visionMlp: added(
    "0.2.0",
    0,
    optional("Images", count(0, MAX_VISION_WIDTH), "units of the MLP of a block, 0: four times the width", 0),
  ),
  missingImage: added(
    "0.2.0",
    "none",
    optional(
      "Images",
      oneOf(["none", "zeros", "zero-image"]),
      "what a record without an image gets: nothing, zeros, or an image of zeros",
      "none",
    ),
  ),
  severalImages: added(
    "0.2.0",
    "fusion",
    optional(
      "Images",
      oneOf(["fusion", "mean", "concat"]),
      "what several images become, fusion: their mean, of query all tokens",
      "fusion",
    ),
  ),
  visionLearningRate: added(
    "0.2.0",
    1,
    optional("Images", positive, "factor on the learning rate of what is trained for images", 1),
  ),
  visionParts: added(
    "0.2.0",
    "trained",
    optional("Images", oneOf(["trained", "frozen"]), "whether what makes vectors of images is trained", "trained"),
  ),
  channelOrder: added(
    "0.2.0",
    "rgb",
    optional("Images", oneOf(["rgb", "bgr"]), "order of colours that the tower takes", "rgb"),
  ),
  exif: added(
    "0.2.0",
    "apply",
    optional("Images", oneOf(["apply", "ignore"]), "whether photos are turned as their EXIF data says", "apply"),
  ),
  scienceFormat: added(
    "0.2.0",
    "QCM-A",
    optional("Data", oneOf(scienceFormats), "how problems of ScienceQA are written and answered", "QCM-A"),
  ),
  captions: added("0.2.0", false, optional("Data", onOff, "let captions of ScienceQA's images join the hints", false)),
  conversation: added(
    "0.2.0",
    "all",
    optional("Data", oneOf(["all", "first"]), "answers of a conversation that are records", "all"),
  ),
};
