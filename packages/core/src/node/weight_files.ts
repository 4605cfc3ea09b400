/** Where each tensor of a model folder lies: in one `model.safetensors`, or in the shards that an index names. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { isJsonObject } from "../formats/json_fields.ts";
import type { TensorEntry } from "../formats/safetensors.ts";
import type { TensorDecoder } from "../formats/tensor_decoder.ts";
import { type FolderFile, folderFile, readFolderJson } from "./model_folder.ts";
import type { OpenFile } from "./parallel_read.ts";
import { openSafetensors, type SafetensorsFile } from "./safetensors_file.ts";

const INDEX = "model.safetensors.index.json";

/** A tensor of the checkpoint under its name in transformers, and the open file that holds it. */
export interface PlacedTensor extends TensorEntry {
  readonly file: OpenFile;
  /** Turns its bytes into its numbers, which `dtype` holds exactly. @default they are numbers of `dtype` */
  readonly decoder?: TensorDecoder;
  /** Where a stored row stands in transformers. @default in its own place */
  readonly rowTo?: (stored: number) => number;
  /** The 1 that transformers adds to such a norm is in its numbers already. @default false */
  readonly holdsOne?: boolean;
}

/** The tensors of all weight files, and what closes these. */
interface OpenedWeights {
  readonly tensors: ReadonlyMap<string, PlacedTensor>;
  close(): Promise<void>;
}

/** The weight files by name, and what opens them all. */
export interface WeightFiles {
  readonly files: ReadonlyMap<string, FolderFile>;
  open(): Promise<OpenedWeights>;
}

/**
 * Finds the weight files; as in transformers a `model.safetensors` wins over shards. Throws an `InputError` if there
 * are none, if the index is no index, if it names files outside of the folder or files that are not there.
 */
export async function findWeightFiles(folder: string): Promise<WeightFiles> {
  const single = await folderFile(folder, "model.safetensors");
  if (single) return inSafetensors(new Map([["model.safetensors", single]]), undefined);
  if (!(await folderFile(folder, INDEX))) {
    throw new InputError(`Cannot load the model in ${folder}`, await noWeights(folder));
  }
  const attempt = `Cannot use ${join(folder, INDEX)}`;
  const index = await readFolderJson(folder, INDEX);
  const map = isJsonObject(index) ? index["weight_map"] : undefined;
  if (!isJsonObject(map)) throw new InputError(attempt, "it has no weight_map object");
  const weightMap = new Map<string, string>();
  const files = new Map<string, FolderFile>();
  const problems = new Set<string>();
  for (const [tensor, name] of Object.entries(map)) {
    if (typeof name !== "string") problems.add(`${JSON.stringify(tensor).slice(0, 200)} is in no file`);
    else weightMap.set(tensor, name);
  }
  for (const name of [...new Set(weightMap.values())].toSorted()) {
    const file = await folderFile(folder, name);
    if (file) files.set(name, file);
    else problems.add(`it names ${JSON.stringify(name).slice(0, 200)}, which is not there: fetch the missing shard`);
  }
  if (problems.size > 0) throw new InputError(attempt, [...problems]);
  return inSafetensors(files, weightMap);
}

/**
 * The names of the files that the weights are read from, as far as they can be known without reading them; undefined if
 * `findWeightFiles` will refuse the folder.
 */
export async function weightFileNames(folder: string): Promise<ReadonlySet<string> | undefined> {
  if (await folderFile(folder, "model.safetensors")) return new Set(["model.safetensors"]);
  if (!(await folderFile(folder, INDEX))) return undefined;
  const index = await readFolderJson(folder, INDEX);
  const map = isJsonObject(index) ? index["weight_map"] : undefined;
  return isJsonObject(map) ? new Set(Object.values(map).filter((name) => typeof name === "string")) : undefined;
}

/** Opens every weight file and hands over all tensors in it; closes the files when `work` ends, however it ends. */
export async function withWeightFiles<T>(
  found: WeightFiles,
  work: (tensors: ReadonlyMap<string, PlacedTensor>) => Promise<T>,
): Promise<T> {
  const { tensors, close } = await found.open();
  try {
    return await work(tensors);
  } finally {
    await close();
  }
}

/** @param weightMap says which of the files a tensor is in. @default the only one has them all */
function inSafetensors(
  files: ReadonlyMap<string, FolderFile>,
  weightMap: ReadonlyMap<string, string> | undefined,
): WeightFiles {
  return {
    files,
    async open() {
      const opened = new Map<string, SafetensorsFile>();
      const close = async () => {
        for (const { handle } of opened.values()) await handle.close();
      };
      try {
        for (const [name, file] of files) opened.set(name, await openSafetensors(file));
      } catch (error) {
        await close();
        throw error;
      }
      const tensors = new Map<string, PlacedTensor>();
      for (const [name, file] of opened) {
        for (const [tensor, entry] of file.tensors) {
          // The index decides: a shard may hold a second copy of what another one is named for.
          if ((weightMap?.get(tensor) ?? name) === name) tensors.set(tensor, { ...entry, file });
        }
      }
      return { tensors, close };
    },
  };
}

async function noWeights(folder: string): Promise<string> {
  const pickled = ["pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth"];
  for (const name of pickled) {
    if (await folderFile(folder, name)) {
      return `its weights are a pickle (${name}), which can run code and is not read: convert it to model.safetensors`;
    }
  }
  const found = (await readdir(folder)).filter((name) => /\.(?:safetensors|gguf)$/i.test(name)).toSorted();
  const names = found.slice(0, 3).map((name) => JSON.stringify(name).slice(0, 200));
  const others = names.length > 0 ? ` (but ${names.join(", ")}${found.length > 3 ? ", …" : ""})` : "";
  return `there is neither model.safetensors nor ${INDEX}${others}: download the model again`;
}
