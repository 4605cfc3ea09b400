/** Loads the weights of a base: a Hugging Face model folder, or a GGUF file. */
import { constants } from "node:buffer";
import { type Allocate, ownMemory } from "../allocate.ts";
import type { DType, WeightDType } from "../engine/engine.ts";
import { InputError } from "../errors.ts";
import { bytesPerElement, type StoredDType, storedDTypes } from "../formats/dtype.ts";
import { dtypeOfStorage, isScaled, tensorBytes } from "../formats/scaled.ts";
import type { WeightStorage } from "../formats/scaled_format.ts";
import { storedName, withoutWrappers } from "../model/checkpoint_names.ts";
import type { ModelConfig } from "../model/config.ts";
import { weightSources } from "../model/hf_names.ts";
import { keepsDType } from "../model/weight_changes.ts";
import type { WeightPart } from "../model/weight_sources.ts";
import { imageBytes, isLinearMap, type WeightImage, type WeightPlace } from "../model/weights.ts";
import { baseForm } from "./base_forms.ts";
import { readRanges } from "./parallel_read.ts";
import type { PlacedTensor } from "./placed_tensor.ts";
import { type WeightFiles, withWeightFiles } from "./weight_files.ts";
import { type FoundTensor, type PlannedRead, rangeOf } from "./weight_ranges.ts";

/** Below this a weight is copied: it would share its pages with others. */
const LEAST_MAPPED_BYTES = 64 * 2 ** 10;

/** How the weights of a base are loaded. */
export interface LoadOptions {
  /** The dtypes that the engine takes (`Engine.weightDtypes`); everything else is widened to f32. */
  readonly weightDtypes: readonly WeightDType[];
  /**
   * `int8` needs an engine that takes `i8`, `fp8` one that takes `f8`, `nf4` and `int4` those that take `nf4` and `i4`. Linear
   * maps are quantised while they are read, and then not left in their files.
   * @default "as-is"
   */
  readonly storage?: WeightStorage;
  /**
   * Leaves what lies in a file as the engine takes it there (`Engine.mapped`): it is read all the same, which brings it into
   * the file cache, but takes no other memory. Merged weights whose parts are apart in the file are copied.
   * @default false
   */
  readonly mapFiles?: boolean;
  /** Makes the block of the weights; a SharedArrayBuffer serves several threads. @default memory of this thread alone */
  readonly allocate?: Allocate;
  /** Called after every chunk with how many bytes of the files are in memory and how many there will be. @default nobody is */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/**
 * Reads the weights that `config` asks for into one block, each tensor once and straight to its place. All tensors are
 * checked before any memory is taken; tensors that the model has no use for are left on disk.
 *
 * @throws InputError that lists every tensor that is missing or not as the config says.
 * @example
 * const engine = createReferenceEngine();
 * const config = await readModelConfig("models/base");
 * const image = await loadWeights("models/base", config, { weightDtypes: engine.weightDtypes });
 */
export async function loadWeights(folder: string, config: ModelConfig, options: LoadOptions): Promise<WeightImage> {
  return withWeightFiles(await weightsOf(folder), async (tensors) => {
    const plan = planWeights(config, tensors, options, folder);
    const bytes = blockOf(plan.bytes, options.allocate ?? ownMemory, folder);
    let done = 0;
    await readRanges(
      plan.reads.map((read) => rangeOf(read, bytes)),
      (length) => {
        done += length;
        options.onProgress?.(done, plan.readBytes);
      },
    );
    return { bytes, places: plan.places };
  });
}

/** Finds the weight files of the base at `path`. */
async function weightsOf(path: string): Promise<WeightFiles> {
  return (await baseForm(path)).requireWeights();
}

/** Bytes of all weights as `loadWeights` with these options holds or maps them, without reading them. */
export async function weightBytes(folder: string, config: ModelConfig, options: LoadOptions): Promise<number> {
  return withWeightFiles(await weightsOf(folder), async (tensors) => {
    return imageBytes(planWeights(config, tensors, options, folder));
  });
}

/**
 * The dtypes that the linear maps of a base have in its files, without reading them. Maps that are missing or have other shapes
 * are no matter of this: `loadWeights` refuses them.
 */
export async function linearMapDtypes(folder: string, config: ModelConfig): Promise<ReadonlySet<StoredDType>> {
  return withWeightFiles(await weightsOf(folder), async (inFiles) => {
    const { tensors } = withoutWrappers(inFiles);
    const parts = weightSources(config).flatMap((source) => (isLinearMap(source.name) ? source.parts : []));
    const dtypes = parts.flatMap((part) => {
      const tensor = tensors.get(storedName(part, config, tensors) ?? part.hfName);
      return (tensor && storedDTypes.get(tensor.dtype)) ?? [];
    });
    return new Set(dtypes);
  });
}

interface WeightPlan {
  readonly places: Record<string, WeightPlace>;
  readonly reads: readonly PlannedRead[];
  /** Size of the block. */
  readonly bytes: number;
  readonly readBytes: number;
}

function planWeights(
  config: ModelConfig,
  inFiles: ReadonlyMap<string, PlacedTensor>,
  { weightDtypes, storage = "as-is", mapFiles = false }: LoadOptions,
  folder: string,
): WeightPlan {
  const scaled = storage === "as-is" ? undefined : dtypeOfStorage(storage);
  if (scaled && !weightDtypes.includes(scaled)) {
    throw new RangeError(
      `Cannot load the model in ${folder} as ${storage}: the engine takes ${weightDtypes.join(", ")}`,
    );
  }
  const { tensors } = withoutWrappers(inFiles);
  const problems: string[] = [];
  const places: Record<string, WeightPlace> = {};
  const reads: PlannedRead[] = [];
  let bytes = 0;
  let readBytes = 0;
  for (const { name, shape, parts } of weightSources(config)) {
    const found = parts.flatMap((asked) => {
      const key = storedName(asked, config, tensors);
      const tensor = key === undefined ? undefined : tensors.get(key);
      const part = asStored(asked, tensor);
      const dtype = tensor && storedDTypes.get(tensor.dtype);
      const problem = tensorProblem(part, tensor, tensors);
      if (problem !== undefined) problems.push(problem);
      if (!tensor || !dtype) return [];
      return [{ tensor, dtype, part, elements: part.shape.reduce((a, b) => a * b, 1) }];
    });
    const dtype = scaled && isLinearMap(name) ? scaled : placedDType(found, weightDtypes);
    const byteLength = tensorBytes(dtype, shape);
    if (byteLength > constants.MAX_LENGTH) {
      problems.push(`${name} takes ${byteLength} bytes, this Node.js holds ${constants.MAX_LENGTH} in one array`);
    }
    const mapped = mapFiles && byteLength >= LEAST_MAPPED_BYTES ? placeInFile(found, dtype) : undefined;
    const place: WeightPlace = { dtype, shape, ...(mapped ?? { offset: bytes }), byteLength };
    places[name] = place;
    let row = 0;
    for (const { elements, ...own } of found) {
      reads.push({ ...own, name, place, row });
      row += elements / (shape[1] ?? 1);
      readBytes += own.tensor.end - own.tensor.begin;
    }
    if (!mapped) bytes = Math.ceil((bytes + byteLength) / 64) * 64;
  }
  if (problems.length > 0) throw new InputError(`Cannot load the model in ${folder}`, summarize(problems));
  return { places, reads, bytes, readBytes };
}

/**
 * What is done to this tensor: rows that are stored in another order than in transformers, and norms and maps that are already as they
 * are needed.
 */
function asStored({ change, rowTo, shape, ...part }: WeightPart, tensor: Partial<PlacedTensor> = {}): WeightPart {
  const { rowTo: first, holdsOne = false, isTurned = false } = tensor;
  const both = first && rowTo ? (stored: number) => rowTo(first(stored)) : (first ?? rowTo);
  const isDone = (holdsOne && change === "add-one") || (isTurned && change === "transpose");
  return {
    ...part,
    shape: isTurned && change === "transpose" ? shape.toReversed() : shape,
    ...(change && !isDone && { change }),
    ...(both && { rowTo: both }),
  };
}

/** Where the parts lie in their file, if they are as the weight is to be: one behind the other, on whole numbers. */
function placeInFile(found: readonly FoundTensor[], dtype: WeightDType): { offset: number; path: string } | undefined {
  const [first] = found;
  if (!first || isScaled(dtype)) return undefined;
  const { begin: offset, file } = first.tensor;
  let end = offset;
  for (const { tensor, dtype: stored, part } of found) {
    if (
      tensor.decoder ||
      file.isMade ||
      part.change ||
      part.rowTo ||
      (part.times ?? 1) !== 1 ||
      stored !== dtype ||
      tensor.file !== file ||
      tensor.begin !== end
    )
      return undefined;
    end = tensor.end;
  }
  return offset % bytesPerElement[dtype] === 0 ? { offset, path: file.path } : undefined;
}

/** The parts' own dtype if they share one that the engine takes and their numbers stay unchanged, else f32. */
function placedDType(
  parts: readonly Pick<FoundTensor, "dtype" | "part">[],
  weightDtypes: readonly WeightDType[],
): DType {
  const { dtype: first } = parts[0] ?? { dtype: "f32" };
  const isKept = parts.every(({ dtype, part }) => dtype === first && keepsDType(part));
  return isKept && first !== "f64" && weightDtypes.includes(first) ? first : "f32";
}

function tensorProblem(
  { hfName: name, shape }: WeightPart,
  tensor: PlacedTensor | undefined,
  all: ReadonlyMap<string, PlacedTensor>,
): string | undefined {
  const needed = `F32, F16 or BF16 [${shape.join(", ")}]`;
  if (tensor === undefined) {
    if (all.has(name.replace(/\.(\w+)$/, ".base_layer.$1"))) {
      return `${name} is wrapped for an adapter that was not merged: merge it first (merge_and_unload of PEFT)`;
    }
    const isTied = ", or tie_word_embeddings true in config.json";
    const isEmbedding = /(?:embed_tokens|embed_in|wte)\.weight$/.test(name);
    const head = ["lm_head.weight", "embed_out.weight"].find((stored) => all.has(stored));
    const isHead = name === "lm_head.weight" || name === "embed_out.weight";
    const hint = isHead ? isTied : isEmbedding && head ? `${isTied} if ${head} is the embedding` : "";
    return `${name} is in no weight file, needed is ${needed}${hint}: fetch the model again`;
  }
  if (storedDTypes.has(tensor.dtype) && String(tensor.shape) === String(shape)) return undefined;
  const found = `${tensor.dtype} [${tensor.shape.join(", ")}]`;
  return `${name} in ${tensor.file.path} is ${found}, config.json needs ${needed}: use the files of one model`;
}

/** A wrong config makes every tensor wrong: the first ones show it. */
function summarize(problems: readonly string[]): readonly string[] {
  const shown = 20;
  if (problems.length <= shown) return problems;
  return [...problems.slice(0, shown), `and ${problems.length - shown} more`];
}

function blockOf(bytes: number, allocate: Allocate, folder: string): ArrayBufferLike {
  try {
    return allocate(bytes);
  } catch (cause) {
    const size = `${(bytes / 2 ** 30).toFixed(1)} GiB`;
    throw new InputError(`Cannot load the model in ${folder}`, `it takes ${size} of memory, more than there is`, {
      cause,
    });
  }
}
