/**
 * What an adapter that sees images was trained to see: `vision_config.json` beside its numbers, of which `vision.safetensors` has
 * those that PEFT does not know. Without both files the folder is a text adapter, for PEFT too.
 */
import { InputError } from "../../errors.ts";
import { isJsonObject, type JsonFields, jsonFields, shown } from "../../formats/json_fields.ts";
import type { FeatureNorm } from "../../vision/tower/features.ts";
import type { AdapterLayout, MissingImage, ProjectionShape, QueryShape, VisionShape } from "../layout.ts";

export const VISION_CONFIG = "vision_config.json";
const VERSION = 1;

/** Widths of a visual-query transformer, and its blocks: the released one has 768 to 3072, and 8. */
const MAX_WIDTH = 65_536;
const MAX_BLOCKS = 1024;

/** The tower whose features an adapter was trained on. It is in no adapter's folder. */
export interface SeenTower {
  /** `model_type` of its config. */
  readonly modelType: string;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly imageSize: number;
  readonly patchSize: number;
  /** `LoadedTower.hash`. @default none: programs that are not ours do not say it */
  readonly sha256?: string | undefined;
  /** Where it was, or its name on the Hub. @default none: it is not known */
  readonly nameOrPath?: string | undefined;
  readonly channelOrder: "rgb" | "bgr";
  readonly exif: "apply" | "ignore";
}

/** How images become the features that an adapter takes. */
export interface SeenFeatures {
  /** Names, see `parseFeatures`. */
  readonly features: readonly string[];
  readonly featureNorm: FeatureNorm;
  /** What several images of one text become: the mean of their features, or their tokens one after another. */
  readonly severalImages: "mean" | "concat";
  readonly tower: SeenTower;
}

/** A `vision_config.json`. */
export interface VisionConfig extends SeenFeatures {
  readonly shape: VisionShape;
  readonly promptLength: number;
  readonly adaptedLayers: number;
  /** D of the base. @default unknown: of the fusion `query` its tensors alone say it */
  readonly hiddenSize?: number | undefined;
}

/** Returns the file's text. Throws a RangeError for a layout without images. */
export function serializeVisionConfig(
  { features, featureNorm, severalImages, tower }: SeenFeatures,
  { shape, base }: AdapterLayout,
): string {
  const { vision, promptLength, adaptedLayers } = shape;
  if (!vision) throw new RangeError("Cannot describe what an adapter sees: it was made without images");
  const { sha256, nameOrPath, ...sizes } = tower;
  const json = {
    version: VERSION,
    fusion: vision.fusion,
    features,
    featureNorm,
    featureSize: vision.featureSize,
    ...(vision.fusion === "global" ? projectionJson(vision, base.hiddenSize) : queryJson(vision)),
    missingImage: vision.missingImage,
    severalImages,
    adapterLen: promptLength,
    adapterLayers: adaptedLayers,
    tower: { ...sizes, ...(sha256 !== undefined && { sha256 }), ...(nameOrPath !== undefined && { nameOrPath }) },
  };
  return `${JSON.stringify(json, undefined, 2)}\n`;
}

function projectionJson({ featureSize, projectionSize }: ProjectionShape, hiddenSize: number) {
  return { projection: [featureSize, projectionSize, hiddenSize], activation: "gelu_tanh" };
}

function queryJson({ embedSize: embed, blocks, heads, mlpSize: mlp, blockEps, normEps }: QueryShape) {
  return { embed, blocks, heads, mlp, blockEps, normEps, activation: "gelu_erf" };
}

/**
 * Reads what `serializeVisionConfig` wrote; `path` is for messages. Throws an `InputError` with everything that is missing, wrong
 * or not supported; keys without a meaning are warnings.
 */
export function parseVisionConfig(json: unknown, path: string): { config: VisionConfig; warnings: string[] } {
  const fail = (problems: string | string[]) => new InputError(`Cannot use ${path}`, problems);
  if (!isJsonObject(json)) throw fail("it is not an object, {version, fusion, features, tower, …} is needed");
  if (json["version"] !== VERSION) {
    throw fail(`its version is ${shown(json["version"])}, this program reads ${VERSION}: use the one that wrote it`);
  }
  const { fusion } = json;
  if (fusion !== "global" && fusion !== "query") {
    throw fail(`its fusion is ${shown(fusion)}, known are global and query`);
  }
  const problems: string[] = [];
  const fields = jsonFields(json, problems);
  for (const name of ["version", "fusion"]) fields.raw(name);
  const { shape, hiddenSize } = fusion === "global" ? projectionShape(fields) : { shape: queryShape(fields) };
  const tower = isJsonObject(fields.raw("tower")) ? (json["tower"] as Record<string, unknown>) : {};
  const ofTower = jsonFields(tower, problems, "tower.");
  const config: VisionConfig = {
    shape,
    features: featuresOf(fields),
    featureNorm: oneOf(fields, "featureNorm", ["layer", "none"], "layer"),
    severalImages:
      fusion === "global"
        ? oneOf(fields, "severalImages", ["mean"], "mean")
        : oneOf(fields, "severalImages", ["concat", "mean"], "concat"),
    promptLength: fields.integer("adapterLen", { min: 1 }),
    adaptedLayers: fields.integer("adapterLayers", { min: 1 }),
    hiddenSize,
    tower: towerOf(ofTower),
  };
  if (problems.length > 0) throw fail(problems);
  const unknown = [
    ...Object.keys(json).filter((key) => !fields.asked.has(key)),
    ...Object.keys(tower).flatMap((key) => (ofTower.asked.has(key) ? [] : [`tower.${key}`])),
  ];
  const names = unknown.slice(0, 20).map((key) => key.slice(0, 100));
  const said = `${path}: ${unknown.length} keys have no meaning here and are not used: ${names.join(", ")}`;
  return { config, warnings: unknown.length > 0 ? [said] : [] };
}

function towerOf(fields: JsonFields): SeenTower {
  const sha256 = optionalText(fields, "sha256");
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256)) {
    fields.problem(`sha256 is ${shown(sha256)}, needed are 64 hexadecimal digits`);
  }
  const modelType = optionalText(fields, "modelType");
  if (modelType === undefined) fields.problem("modelType is missing, a text is needed");
  return {
    modelType: modelType ?? "",
    hiddenSize: fields.integer("hiddenSize", { min: 1 }),
    layers: fields.integer("layers", { min: 1 }),
    imageSize: fields.integer("imageSize", { min: 1 }),
    patchSize: fields.integer("patchSize", { min: 1 }),
    sha256,
    nameOrPath: optionalText(fields, "nameOrPath"),
    channelOrder: oneOf(fields, "channelOrder", ["rgb", "bgr"], "rgb"),
    exif: oneOf(fields, "exif", ["apply", "ignore"], "apply"),
  };
}

function projectionShape(fields: JsonFields): { shape: ProjectionShape; hiddenSize: number } {
  const featureSize = fields.integer("featureSize", { min: 1 });
  const [projectionSize, hiddenSize] = projectionOf(fields, featureSize);
  oneOf(fields, "activation", ["gelu_tanh"], "gelu_tanh");
  const missingImage = oneOf<MissingImage>(fields, "missingImage", ["none", "zeros", "zero-image"], "none");
  return { shape: { fusion: "global", featureSize, projectionSize, missingImage }, hiddenSize };
}

function queryShape(fields: JsonFields): QueryShape {
  const size = (name: string) => fields.integer(name, { min: 1, max: MAX_WIDTH });
  const [embedSize, heads] = [size("embed"), size("heads")];
  if (embedSize % heads > 0) fields.problem(`embed ${embedSize} does not divide over ${heads} heads`);
  oneOf(fields, "activation", ["gelu_erf"], "gelu_erf");
  return {
    fusion: "query",
    featureSize: size("featureSize"),
    embedSize,
    blocks: fields.integer("blocks", { min: 1, max: MAX_BLOCKS }),
    heads,
    mlpSize: size("mlp"),
    blockEps: fields.number("blockEps", { above: 0, fallback: 1e-6 }),
    normEps: fields.number("normEps", { above: 0, fallback: 1e-5 }),
    missingImage: oneOf(fields, "missingImage", ["none", "zero-image"], "none"),
  };
}

/** Returns h and D. */
function projectionOf(fields: JsonFields, featureSize: number): [number, number] {
  const value = fields.raw("projection");
  const sizes = Array.isArray(value) ? (value as unknown[]) : [];
  const isSize = (size: unknown): size is number => Number.isSafeInteger(size) && (size as number) > 0;
  const [C, h, D] = sizes;
  if (sizes.length === 3 && isSize(C) && isSize(h) && isSize(D) && (C === featureSize || Number.isNaN(featureSize))) {
    return [h, D];
  }
  fields.problem(`projection is ${shown(value ?? null)}, needed is [featureSize, units, hidden size of the base]`);
  return [Number.NaN, Number.NaN];
}

function featuresOf(fields: JsonFields): string[] {
  const value = fields.raw("features");
  const names: unknown[] = Array.isArray(value) ? value : [];
  if (names.length > 0 && names.every((name) => typeof name === "string")) return names;
  fields.problem(`features is ${shown(value ?? null)}, needed is a list of names`);
  return [];
}

function optionalText(fields: JsonFields, name: string): string | undefined {
  const value = fields.raw(name);
  if (value === undefined || typeof value === "string") return value;
  fields.problem(`${name} is ${shown(value)}, a text is needed`);
  return undefined;
}

function oneOf<Value extends string>(
  fields: JsonFields,
  name: string,
  values: readonly [Value, ...Value[]],
  fallback: Value,
): Value {
  const given = fields.raw(name) ?? fallback;
  const found = values.find((value) => value === given);
  if (found === undefined) fields.problem(`${name} is ${shown(given)}, known are ${values.join(", ")}`);
  return found ?? fallback;
}
