/** `@zerogate/vision`: images decoded within limits, and their features, kept on disk. Prints nothing. */
export { type DecodeOptions, decodeImage } from "./decode.ts";
export { allocateFeatures, type FeaturePack, packHash } from "./feature_pack.ts";
export {
  type FindFeatures,
  findFeatures,
  type ImageFeatureOptions,
  type ImageFeatures,
  imageFeatures,
  type OwnFeatures,
} from "./image_features.ts";
export { type KeptRowsOptions, keptRows } from "./kept_rows.ts";
export { type ReadImageOptions, readImage } from "./read_image.ts";
export { checkDecoder } from "./sharp.ts";
