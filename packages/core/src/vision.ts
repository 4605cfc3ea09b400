/** `@zerogate/core/vision`: from decoded images to what towers see in them. Needs no Node built-in: it runs in a browser too. */

export { checkImage, type ImageSize, type RgbImage } from "./vision/image.ts";
export {
  type PerChannel,
  type PreprocessSettings,
  preprocessedSize,
  preprocessImage,
  resizeAndCrop,
  resizedSize,
} from "./vision/preprocess.ts";
export { defaultPreprocessor, type PreprocessorFamily, parsePreprocessor } from "./vision/preprocess_config.ts";
export { type ImageWindow, type ResizeFilter, resizeImage } from "./vision/resize.ts";
export { parseTowerConfig, type TowerConfig, towerModelType, towerTokens } from "./vision/tower/config.ts";
export {
  type Feature,
  type FeatureList,
  type FeatureNorm,
  globalFeatures,
  parseFeatures,
} from "./vision/tower/features.ts";
export {
  createTower,
  type PoolingHead,
  type Tower,
  type TowerLayer,
  type TowerMap,
  type TowerNorm,
} from "./vision/tower/tower.ts";
export {
  type TowerFeatureOptions,
  type TowerFeatures,
  towerFeatures,
  zeroImage,
} from "./vision/tower/tower_features.ts";
