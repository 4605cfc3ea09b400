/** Loads a Hugging Face model folder into shared memory: config, weights, and the hash that names the base. */
import { constants } from "node:buffer";
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { DType } from "../engine/engine.ts";
import { InputError } from "../errors.ts";
import { bytesPerElement, widen } from "../formats/dtype.ts";
import type { TensorDType } from "../formats/safetensors.ts";
import type { ModelConfig } from "../model/config.ts";
import { parseModelConfig } from "../model/hf_config.ts";
import { acceptedNames, type WeightPart, weightSources } from "../model/hf_names.ts";
import { addOne, transpose } from "../model/weight_changes.ts";
import type { WeightImage, WeightPlace } from "../model/weights.ts";
import { hashFile } from "./hash.ts";
import { folderFile, readFolderJson } from "./model_folder.ts";
import { readFully } from "./safetensors_file.ts";
import { findWeightFiles, type PlacedTensor, withWeightFiles } from "./weight_files.ts";

const ourDTypes: ReadonlyMap<TensorDType, DType> = new Map([
  ["F32", "f32"],
  ["F16", "f16"],
  ["BF16", "bf16"],
]);

/** What is read at once: large enough for full speed, small enough for smooth progress. */
const CHUNK_BYTES = 16 * 2 ** 20;

export interface LoadOptions {
  /** The dtypes that the engine takes (`Engine.weightDtypes`); everything else is widened to f32. */
  readonly weightDtypes: readonly DType[];
  /** Told after every chunk how many bytes of the files are in memory and how many there will be. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** `config.json` of the folder. Throws an `InputError` where it is missing, damaged or not of a supported model. */
export async function readModelConfig(folder: string): Promise<ModelConfig> {
  return parseModelConfig(await readFolderJson(folder, "config.json"), join(folder, "config.json"));
}

/**
 * Reads the weights that `config` asks for into one shared block, each tensor once and straight to its place. All
 * tensors are checked before any memory is taken; tensors that the model has no use for are left on disk. Throws an
 * `InputError` that lists every tensor that is missing or not as the config says.
 */
export async function loadWeights(folder: string, config: ModelConfig, options: LoadOptions): Promise<WeightImage> {
  return withWeightFiles(await findWeightFiles(folder), async (tensors) => {
    const plan = planWeights(config, tensors, options.weightDtypes, folder);
    const bytes = allocate(plan.bytes, folder);
    const scratch = new Uint8Array(CHUNK_BYTES);
    let done = 0;
    for (const { tensor, dtype, change, offset, place } of plan.reads) {
      const width = bytesPerElement[dtype];
      const target = bytesPerElement[place.dtype];
      const size = ((tensor.end - tensor.begin) / width) * target;
      const into = change === "transpose" ? { buffer: new ArrayBuffer(size), offset: 0 } : { buffer: bytes, offset };
      for (let from = tensor.begin; from < tensor.end; from += CHUNK_BYTES) {
        const length = Math.min(CHUNK_BYTES, tensor.end - from);
        const to = into.offset + ((from - tensor.begin) / width) * target;
        if (dtype === place.dtype) {
          await readFully(tensor.file, new Uint8Array(into.buffer, to, length), from);
        } else {
          await readFully(tensor.file, scratch.subarray(0, length), from);
          widen(dtype, scratch.subarray(0, length), new Float32Array(into.buffer, to, length / width));
        }
        done += length;
        options.onProgress?.(done, plan.readBytes);
      }
      if (change === "transpose") {
        transpose(new Uint8Array(bytes, offset, size), new Uint8Array(into.buffer), place.dtype, tensor.shape);
      }
      if (change === "add-one") addOne(new Float32Array(bytes, offset, size / target));
    }
    return { bytes, places: plan.places };
  });
}

/**
 * Names the base in checkpoints: SHA-256, hexadecimal, over the SHA-256 and name of `config.json` and of every weight
 * file, one a line, names ascending. Reads all files once.
 */
export async function baseHash(folder: string): Promise<string> {
  const config = await folderFile(folder, "config.json");
  if (config === undefined) throw new InputError(`Cannot name the base in ${folder}`, "there is no config.json");
  const { files } = await findWeightFiles(folder);
  const named = [...files, ["config.json", config] as const].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const hash = createHash("sha256");
  for (const [name, { path }] of named) {
    hash.update(`${await hashFile(path)}  ${name}\n`);
  }
  return hash.digest("hex");
}

/** One tensor of a file and the place of its numbers in the block. */
interface PlannedRead {
  readonly tensor: PlacedTensor;
  readonly dtype: DType;
  readonly change: WeightPart["change"];
  readonly place: WeightPlace;
  readonly offset: number;
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
  tensors: ReadonlyMap<string, PlacedTensor>,
  weightDtypes: readonly DType[],
  folder: string,
): WeightPlan {
  const problems: string[] = [];
  const places: Record<string, WeightPlace> = {};
  const reads: PlannedRead[] = [];
  let bytes = 0;
  let readBytes = 0;
  for (const { name, shape, parts } of weightSources(config)) {
    const found = parts.flatMap(({ hfName, shape: needed, change }) => {
      const key = acceptedNames(hfName, config).find((accepted) => tensors.has(accepted));
      const tensor = key === undefined ? undefined : tensors.get(key);
      const dtype = tensor && ourDTypes.get(tensor.dtype);
      const problem = tensorProblem(hfName, needed, tensor);
      if (problem !== undefined) problems.push(problem);
      return tensor && dtype ? [{ tensor, dtype, change, elements: needed.reduce((a, b) => a * b, 1) }] : [];
    });
    const dtype = placedDType(found, weightDtypes);
    const byteLength = shape.reduce((a, b) => a * b, bytesPerElement[dtype]);
    if (byteLength > constants.MAX_LENGTH) {
      problems.push(`${name} takes ${byteLength} bytes, this Node.js holds ${constants.MAX_LENGTH} in one array`);
    }
    const place: WeightPlace = { dtype, shape, offset: bytes, byteLength };
    places[name] = place;
    let offset = bytes;
    for (const { tensor, dtype: stored, change, elements } of found) {
      reads.push({ tensor, dtype: stored, change, place, offset });
      offset += elements * bytesPerElement[dtype];
      readBytes += tensor.end - tensor.begin;
    }
    bytes = Math.ceil((bytes + byteLength) / 64) * 64;
  }
  if (problems.length > 0) throw new InputError(`Cannot load the model in ${folder}`, summarize(problems));
  return { places, reads, bytes, readBytes };
}

/** The parts' own dtype where they share one that the engine takes and their numbers stay as they are, else f32. */
function placedDType(parts: readonly Pick<PlannedRead, "dtype" | "change">[], weightDtypes: readonly DType[]): DType {
  const { dtype: first } = parts[0] ?? { dtype: "f32" };
  const isKept = parts.every(({ dtype, change }) => dtype === first && change !== "add-one");
  return isKept && weightDtypes.includes(first) ? first : "f32";
}

function tensorProblem(name: string, shape: readonly number[], tensor: PlacedTensor | undefined): string | undefined {
  const needed = `F32, F16 or BF16 [${shape.join(", ")}]`;
  if (tensor === undefined) {
    const hint = name === "lm_head.weight" ? ", or tie_word_embeddings true in config.json" : "";
    return `${name} is in no weight file, needed is ${needed}${hint}: fetch the model again`;
  }
  if (ourDTypes.has(tensor.dtype) && String(tensor.shape) === String(shape)) return undefined;
  const found = `${tensor.dtype} [${tensor.shape.join(", ")}]`;
  return `${name} in ${tensor.file.path} is ${found}, config.json needs ${needed}: use the files of one model`;
}

/** A wrong config makes every tensor wrong: the first ones tell the story. */
function summarize(problems: readonly string[]): readonly string[] {
  const shown = 20;
  if (problems.length <= shown) return problems;
  return [...problems.slice(0, shown), `and ${problems.length - shown} more`];
}

function allocate(bytes: number, folder: string): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(bytes);
  } catch (cause) {
    const size = `${(bytes / 2 ** 30).toFixed(1)} GiB`;
    throw new InputError(`Cannot load the model in ${folder}`, `it takes ${size} of memory, more than there is`, {
      cause,
    });
  }
}
