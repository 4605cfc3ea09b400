/** Reads a tower from a Hugging Face folder: its config, its weights in f32, and how images are prepared for it. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { type Allocate, ownMemory } from "../allocate.ts";
import { InputError } from "../errors.ts";
import { bytesPerElement, storedDTypes, widen } from "../formats/dtype.ts";
import { parsePythonJson } from "../formats/strict_json.ts";
import type { WeightImage, WeightPlace } from "../model/weights.ts";
import { type PreprocessSettings, preprocessedSize } from "../vision/preprocess.ts";
import { defaultPreprocessor, parsePreprocessor } from "../vision/preprocess_config.ts";
import { parseTowerConfig, type TowerConfig } from "../vision/tower/config.ts";
import { towerFamilyOf } from "../vision/tower/families.ts";
import { placeTower, type TowerPlace, type TowerWeight, towerWeights } from "../vision/tower/weights.ts";
import { baseHash } from "./base_identity.ts";
import { folderFile, readFolderJson } from "./model_folder.ts";
import { type FileRange, readRanges } from "./parallel_read.ts";
import type { PlacedTensor } from "./placed_tensor.ts";
import { findWeightFiles, withWeightFiles } from "./weight_files.ts";

/** How a tower is read. */
export interface ReadTowerOptions {
  /** Receives what is used otherwise than its files may have been meant: keys, tensors, a preprocessor that is missing. @default nobody */
  readonly onWarning?: (message: string) => void;
  /** Makes the block of the weights; a SharedArrayBuffer serves several threads. @default memory of this thread alone */
  readonly allocate?: Allocate;
  /** Refuses tensors of the tower that nothing reads, instead of a warning. @default false */
  readonly strictTensors?: boolean;
}

/** A tower as its folder has it. */
export interface LoadedTower {
  readonly config: TowerConfig;
  /** Weights in f32, for `createTower`. */
  readonly image: WeightImage;
  readonly preprocess: PreprocessSettings;
  /** SHA-256 of weights, config and preprocessor settings, hexadecimal: features with another one are other features. */
  readonly hash: string;
}

/**
 * Reads the tower in a folder: of CLIP, ViT or SigLIP, alone or inside a whole model, whose other parts are left on disk. Throws
 * an `InputError` that lists what is missing, damaged or not supported.
 *
 * @example
 * const { config, image, preprocess } = await readTower("models/clip", { onWarning: console.warn });
 */
export async function readTower(
  folder: string,
  { onWarning = () => {}, allocate = ownMemory, strictTensors = false }: ReadTowerOptions = {},
): Promise<LoadedTower> {
  const json = await readFolderJson(folder, "config.json", parsePythonJson);
  const stated = parseTowerConfig(json, join(folder, "config.json"), onWarning);
  const preprocess = await readPreprocessor(folder, stated, onWarning);
  return withWeightFiles(await findWeightFiles(folder), async (tensors) => {
    const place = placeTower(stated, tensors.keys(), folder);
    reportTensors(place, stated, folder, { onWarning, strictTensors });
    const image = await readWeights(place, tensors, folder, allocate);
    const settings = createHash("sha256").update(JSON.stringify([await baseHash(folder), preprocess]));
    return { config: place.config, image, preprocess, hash: settings.digest("hex") };
  });
}

async function readPreprocessor(
  folder: string,
  config: TowerConfig,
  onWarning: (message: string) => void,
): Promise<PreprocessSettings> {
  const name = "preprocessor_config.json";
  const { name: family } = towerFamilyOf(config);
  const path = join(folder, name);
  const side = config.imageSize;
  if (!(await folderFile(folder, name))) {
    onWarning(`${path} is missing: images are prepared as ${family} towers of ${side} × ${side} pixels take them`);
    return defaultPreprocessor(family, side);
  }
  const settings = parsePreprocessor(await readFolderJson(folder, name, parsePythonJson), path, family);
  const isFixed =
    settings.crop !== undefined || (settings.resize !== undefined && !("shortestEdge" in settings.resize));
  const { width, height } = preprocessedSize({ width: side, height: side }, settings);
  if (isFixed ? width === side && height === side : settings.resize === undefined) return settings;
  const found = isFixed ? `${width} × ${height} pixels` : "pixels of any shape, as there is no crop";
  throw new InputError(
    `Cannot use ${path}`,
    `it makes images of ${found}, the tower takes ${side} × ${side}: its positions are not interpolated`,
  );
}

function reportTensors(
  { config, unused, others }: TowerPlace,
  stated: TowerConfig,
  folder: string,
  { onWarning, strictTensors }: { onWarning: (message: string) => void; strictTensors: boolean },
): void {
  const kinds = (names: readonly string[]) => {
    const all = [...new Set(names.map((name) => name.replace(/\.\d+\./g, ".*.").slice(0, 120)))];
    return all.length > 8 ? `${all.slice(0, 8).join(", ")} and ${all.length - 8} other kinds` : all.join(", ");
  };
  if (unused.length > 0) {
    const found = `${unused.length} tensors in ${folder} are not part of this ${config.family} tower`;
    if (strictTensors) {
      throw new InputError(
        `Cannot use the tower in ${folder}`,
        `${found}: ${kinds(unused)}: take them out of the files`,
      );
    }
    onWarning(`${found} and have no influence on what it computes: ${kinds(unused)}`);
  }
  if (others.length > 0) {
    onWarning(
      `${others.length} tensors in ${folder} are of other parts than the tower and are not read: ${kinds(others)}`,
    );
  }
  if (stated.projectionSize > 0 && config.projectionSize === 0) {
    onWarning(`${folder} has no visual_projection: embeds and tokens.projected cannot be taken from it`);
  }
  if (stated.poolingHead && !config.poolingHead) {
    onWarning(`${folder} has no pooling head: pooled cannot be taken from it`);
  }
}

/** A tensor that is read, and the place of its numbers in the block. */
interface PlannedTensor {
  readonly tensor: PlacedTensor;
  readonly offset: number;
}

async function readWeights(
  place: TowerPlace,
  tensors: ReadonlyMap<string, PlacedTensor>,
  folder: string,
  allocate: Allocate,
): Promise<WeightImage> {
  const places: Record<string, WeightPlace> = {};
  const planned: PlannedTensor[] = [];
  const problems: string[] = [];
  let bytes = 0;
  for (const { name, shape, parts } of towerWeights(place.config)) {
    const byteLength = 4 * shape.reduce((a, b) => a * b, 1);
    places[name] = { dtype: "f32", shape, offset: bytes, byteLength };
    let offset = bytes;
    for (const part of parts) {
      const whole = place.nameOf(part.name);
      const tensor = tensors.get(whole);
      const problem = problemOf(whole, part.shape, tensor);
      if (problem !== undefined) problems.push(problem);
      if (tensor) planned.push({ tensor, offset });
      offset += 4 * part.shape.reduce((a, b) => a * b, 1);
    }
    bytes = Math.ceil((bytes + byteLength) / 64) * 64;
  }
  if (problems.length > 0) {
    const more = problems.length > 20 ? [`and ${problems.length - 20} more`] : [];
    throw new InputError(`Cannot load the tower in ${folder}`, [...problems.slice(0, 20), ...more]);
  }
  const block = allocate(bytes);
  await readRanges(
    planned.map((one) => rangeOf(one, block)),
    () => {},
  );
  return { bytes: block, places };
}

function problemOf(name: string, shape: TowerWeight["shape"], tensor: PlacedTensor | undefined): string | undefined {
  const needed = `F32, F16 or BF16 [${shape.join(", ")}]`;
  if (!tensor) return `${name} is in no weight file, needed is ${needed}: fetch the tower again`;
  // Sizes of 1 say nothing: a class token is [W] or [1, 1, W].
  const sizes = (list: readonly number[]) => list.filter((size) => size !== 1).join();
  if (storedDTypes.has(tensor.dtype) && sizes(tensor.shape) === sizes(shape)) return undefined;
  const way = name.includes("position") ? "positions are not interpolated, " : "";
  return `${name} in ${tensor.file.path} is ${tensor.dtype} [${tensor.shape.join(", ")}], config.json needs ${needed}: ${way}use the files of one model`;
}

function rangeOf({ tensor, offset }: PlannedTensor, block: ArrayBufferLike): FileRange {
  const dtype = storedDTypes.get(tensor.dtype) ?? "f32";
  if (dtype === "f32") return { ...tensor, place: (from, length) => new Uint8Array(block, offset + from, length) };
  const size = bytesPerElement[dtype];
  const onChunk = (bytes: Uint8Array, from: number) => {
    widen(dtype, bytes, new Float32Array(block, offset + (from / size) * 4, bytes.length / size));
  };
  return { ...tensor, onChunk };
}
