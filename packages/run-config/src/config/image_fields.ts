/** The keys of runs that see images, a part of `fields`. */
import { scienceFormats } from "@zerogate/data/words";
import { added, count, type Field, nameList, oneOf, onOff, optional, path, positive } from "./kinds.ts";
import { MAX_PROJECTION } from "./limits.ts";
import type { ConfigKey, TrainConfig } from "./train_config.ts";

type ImageKey =
  | "tower"
  | "imageRoot"
  | "features"
  | "featureNorm"
  | "projectionSize"
  | "missingImage"
  | "visionLearningRate"
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
  features: added(
    "0.2.0",
    "global",
    optional(
      "Images",
      nameList("global, or names as cls@4,mean@-1"),
      "which states of the tower describe an image, global: four depths",
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
  missingImage: added(
    "0.2.0",
    "none",
    optional("Images", oneOf(["none", "zeros"]), "what a record without an image gets: nothing, or zeros", "none"),
  ),
  visionLearningRate: added(
    "0.2.0",
    1,
    optional("Images", positive, "factor on the learning rate of the projection", 1),
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
