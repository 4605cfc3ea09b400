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
