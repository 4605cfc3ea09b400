/**
 * Reads a `preprocessor_config.json`. Defaults are those of transformers 5.18's image processors; a key that would change the
 * pixels in a way that we do not compute is refused.
 */
import { InputError } from "../errors.ts";
import { isJsonObject, type JsonFields, jsonFields, shown } from "../formats/json_fields.ts";
import type { ImageSize } from "./image.ts";
import type { PerChannel, PreprocessSettings } from "./preprocess.ts";
import type { ResizeFilter } from "./resize.ts";

/** More pixels a side than any tower takes. */
const MAX_SIDE = 16_384;

/** Whose defaults an image processor has, by the model type of its tower. */
export type PreprocessorFamily = "clip" | "vit" | "siglip";

interface Defaults {
  readonly resample: number;
  readonly hasCrop: boolean;
  /** Whether a size that is one number is the short side's, not both. */
  readonly isShortSide: boolean;
  readonly mean: PerChannel;
  readonly std: PerChannel;
}

const half: PerChannel = [0.5, 0.5, 0.5];
const defaults: Readonly<Record<PreprocessorFamily, Defaults>> = {
  clip: {
    resample: 3,
    hasCrop: true,
    isShortSide: true,
    mean: [0.48145466, 0.4578275, 0.40821073],
    std: [0.26862954, 0.26130258, 0.27577711],
  },
  vit: { resample: 2, hasCrop: false, isShortSide: false, mean: half, std: half },
  siglip: { resample: 3, hasCrop: false, isShortSide: true, mean: half, std: half },
};

/** Classes of transformers, without `Fast`, `Pil`, `ImageProcessor` and `FeatureExtractor` behind them. */
const classes: Readonly<Record<string, PreprocessorFamily>> = {
  CLIP: "clip",
  Llava: "clip",
  ViT: "vit",
  Siglip: "siglip",
};

/** Keys that say nothing of pixels, whatever they are. */
const harmless = new Set(
  `processor_class transformers_version use_fast _valid_processor_keys image_seq_length return_tensors device
  disable_grouping`.split(/\s+/),
);

/** Keys with the only value that means what we do; null is none. */
const fixed: Readonly<Record<string, unknown>> = {
  do_convert_rgb: true,
  do_pad: false,
  data_format: "channels_first",
  input_data_format: undefined,
};

/** The settings of a family whose folder has no `preprocessor_config.json`. */
export function defaultPreprocessor(family: PreprocessorFamily, imageSize: number): PreprocessSettings {
  const { mean, std, hasCrop, resample } = defaults[family];
  const square = { width: imageSize, height: imageSize };
  return {
    resize: hasCrop ? { shortestEdge: imageSize } : square,
    filter: filterOf(resample) ?? "bicubic",
    crop: hasCrop ? square : undefined,
    rescale: 1 / 255,
    normalize: { mean, std },
  };
}

const filterOf = (resample: unknown): ResizeFilter | undefined =>
  resample === 3 ? "bicubic" : resample === 2 ? "bilinear" : undefined;

/**
 * Reads the settings. Throws an `InputError` that lists every key that is wrong, or known to us in no other than the given
 * meaning.
 *
 * @param family of the tower, whose defaults hold if `image_processor_type` is not set.
 */
export function parsePreprocessor(json: unknown, path: string, family: PreprocessorFamily): PreprocessSettings {
  const attempt = `Cannot use ${path} as a preprocessor config`;
  if (!isJsonObject(json)) throw new InputError(attempt, "it is not a JSON object");
  const problems: string[] = [];
  const fields = jsonFields(json, problems);
  const own = familyOf(fields, family);
  const { mean, std, ...rest } = defaults[own];
  const isShortSide = !fields.boolean("default_to_square", !rest.isShortSide);
  const settings: PreprocessSettings = {
    resize: readResize(fields, isShortSide, defaultPreprocessor(own, 224).resize),
    filter: readFilter(fields, rest.resample),
    crop: readCrop(fields, rest.hasCrop),
    rescale: readRescale(fields),
    normalize: readNormalize(fields, { mean, std }),
  };
  checkOthers(fields, json);
  if (problems.length > 0) throw new InputError(attempt, problems);
  return settings;
}

function familyOf(fields: JsonFields, family: PreprocessorFamily): PreprocessorFamily {
  for (const key of ["image_processor_type", "feature_extractor_type"]) {
    const value = fields.raw(key);
    if (value === undefined) continue;
    const name =
      typeof value === "string" ? /^(\w+?)(?:FeatureExtractor|ImageProcessor(?:Fast|Pil)?)$/.exec(value) : null;
    const known = name?.[1] !== undefined && Object.hasOwn(classes, name[1]) ? classes[name[1]] : undefined;
    if (known) return known;
    const names = Object.keys(classes).map((one) => `${one}ImageProcessor`);
    fields.problem(`${key} is ${shown(value)}, supported are ${names.join(", ")}`);
    return family;
  }
  return family;
}

function readResize(
  fields: JsonFields,
  isShortSide: boolean,
  fallback: PreprocessSettings["resize"],
): PreprocessSettings["resize"] {
  const isOn = fields.boolean("do_resize", true);
  const size = fields.raw("size");
  if (size === undefined) return isOn ? fallback : undefined;
  if (typeof size === "number") {
    const side = fields.integer("size", { min: 1, max: MAX_SIDE, fallback: 224 });
    return isOn ? (isShortSide ? { shortestEdge: side } : { width: side, height: side }) : undefined;
  }
  const part = isJsonObject(size) ? size : {};
  const keys = Object.keys(part).filter((key) => part[key] !== null);
  if (keys.length === 1 && isSide(part["shortest_edge"])) {
    return isOn ? { shortestEdge: part["shortest_edge"] } : undefined;
  }
  const both = readBoth(size);
  if (!both) {
    const needed = "a number, {shortest_edge} or {height, width}";
    fields.problem(`size is ${shown(size)}, supported is ${needed}, from 1 to ${MAX_SIDE}`);
  }
  return isOn ? both : undefined;
}

/** `{ height, width }` and nothing else. */
function readBoth(size: unknown): ImageSize | undefined {
  if (!isJsonObject(size)) return undefined;
  const { height, width, ...others } = size;
  const isOnly = Object.values(others).every((value) => value === null);
  return isOnly && isSide(height) && isSide(width) ? { width, height } : undefined;
}

function isSide(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MAX_SIDE;
}

function readFilter(fields: JsonFields, fallback: number): ResizeFilter {
  const value = fields.raw("resample") ?? fallback;
  const filter = filterOf(value);
  if (!filter) fields.problem(`resample is ${shown(value)}, supported are 2 (bilinear) and 3 (bicubic)`);
  return filter ?? "bicubic";
}

function readCrop(fields: JsonFields, hasCrop: boolean): ImageSize | undefined {
  const isOn = fields.boolean("do_center_crop", hasCrop);
  const size = fields.raw("crop_size") ?? 224;
  const crop = isSide(size) ? { width: size, height: size } : readBoth(size);
  if (!crop) {
    fields.problem(`crop_size is ${shown(size)}, supported is a number or {height, width}, from 1 to ${MAX_SIDE}`);
  }
  return isOn ? crop : undefined;
}

function readRescale(fields: JsonFields): number {
  const isOn = fields.boolean("do_rescale", true);
  const factor = fields.number("rescale_factor", { above: 0, fallback: 1 / 255 });
  return isOn ? factor : 1;
}

function readNormalize(
  fields: JsonFields,
  fallback: { mean: PerChannel; std: PerChannel },
): PreprocessSettings["normalize"] {
  const isOn = fields.boolean("do_normalize", true);
  const mean = readChannels(fields, "image_mean", fallback.mean, false);
  const std = readChannels(fields, "image_std", fallback.std, true);
  return isOn ? { mean, std } : undefined;
}

/** One number for all channels, or three. */
function readChannels(fields: JsonFields, name: string, fallback: PerChannel, isAboveZero: boolean): PerChannel {
  const value = fields.raw(name) ?? fallback;
  const list: readonly unknown[] = Array.isArray(value) ? value : [value, value, value];
  const isFine = (one: unknown): one is number => {
    return typeof one === "number" && Number.isFinite(one) && (!isAboveZero || one > 0);
  };
  const [red, green, blue] = list;
  if (list.length === 3 && isFine(red) && isFine(green) && isFine(blue)) return [red, green, blue];
  fields.problem(`${name} is ${shown(value)}, needed are three numbers${isAboveZero ? " above 0" : ""}`);
  return fallback;
}

/** Refuses keys that were not read, unless they say nothing of pixels. */
function checkOthers(fields: JsonFields, json: Readonly<Record<string, unknown>>): void {
  for (const [key, value] of Object.entries(json)) {
    if (fields.asked.has(key) || harmless.has(key) || value === null) continue;
    if (!Object.hasOwn(fixed, key)) {
      fields.problem(`${key.slice(0, 100)} is ${shown(value)}: it is not known, remove it if it changes no pixel`);
    } else if (value !== fixed[key]) {
      fields.problem(`${key} is ${shown(value)}, supported is ${shown(fixed[key] ?? null)}`);
    }
  }
}
