/**
 * Where each tensor of a model folder lies: in one file, or in the shards that an index names; in safetensors, or else in files of
 * torch, which are read without executing anything.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { isJsonObject } from "../formats/json_fields.ts";
import { type FolderFile, folderFile, readFolderJson } from "./model_folder.ts";
import type { OpenedWeights, PlacedTensor } from "./placed_tensor.ts";
import { openSafetensors } from "./safetensors_file.ts";
import { openTorchWeights } from "./torch_weights.ts";

/** The names under which transformers looks for weights, in its order. */
const kinds: readonly { readonly single: string; readonly open: (file: FolderFile) => Promise<OpenedWeights> }[] = [
  { single: "model.safetensors", open: openSafetensorsWeights },
  { single: "pytorch_model.bin", open: openTorchWeights },
];
const indexOf = (single: string) => `${single}.index.json`;

/** The weight files by name, and what opens them all. */
export interface WeightFiles {
  readonly files: ReadonlyMap<string, FolderFile>;
  open(): Promise<OpenedWeights>;
}

/**
 * Finds the weight files; as in transformers a single file wins over shards, and safetensors over files of torch. Throws an
 * `InputError` if there are none, if the index is no index, if it names files outside of the folder or files that are not there.
 */
export async function findWeightFiles(folder: string): Promise<WeightFiles> {
  for (const { single, open } of kinds) {
    const file = await folderFile(folder, single);
    if (file) return inFiles(new Map([[single, file]]), undefined, open);
    const index = indexOf(single);
    if (await folderFile(folder, index)) return await inShards(folder, index, open);
  }
  throw new InputError(`Cannot load the model in ${folder}`, await noWeights(folder));
}

async function inShards(
  folder: string,
  name: string,
  open: (file: FolderFile) => Promise<OpenedWeights>,
): Promise<WeightFiles> {
  const attempt = `Cannot use ${join(folder, name)}`;
  const index = await readFolderJson(folder, name);
  const map = isJsonObject(index) ? index["weight_map"] : undefined;
  if (!isJsonObject(map)) throw new InputError(attempt, "it has no weight_map object");
  const weightMap = new Map<string, string>();
  const files = new Map<string, FolderFile>();
  const problems = new Set<string>();
  for (const [tensor, shard] of Object.entries(map)) {
    if (typeof shard !== "string") problems.add(`${JSON.stringify(tensor).slice(0, 200)} is in no file`);
    else weightMap.set(tensor, shard);
  }
  for (const shard of [...new Set(weightMap.values())].toSorted()) {
    const file = await folderFile(folder, shard);
    if (file) files.set(shard, file);
    else problems.add(`it names ${JSON.stringify(shard).slice(0, 200)}, which is not there: fetch the missing shard`);
  }
  if (problems.size > 0) throw new InputError(attempt, [...problems]);
  return inFiles(files, weightMap, open);
}

/**
 * The names of the files that the weights are read from, as far as they can be known without reading them; undefined if
 * `findWeightFiles` will refuse the folder.
 */
export async function weightFileNames(folder: string): Promise<ReadonlySet<string> | undefined> {
  for (const { single } of kinds) {
    if (await folderFile(folder, single)) return new Set([single]);
    if (!(await folderFile(folder, indexOf(single)))) continue;
    const index = await readFolderJson(folder, indexOf(single));
    const map = isJsonObject(index) ? index["weight_map"] : undefined;
    return isJsonObject(map) ? new Set(Object.values(map).filter((name) => typeof name === "string")) : undefined;
  }
  return undefined;
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
function inFiles(
  files: ReadonlyMap<string, FolderFile>,
  weightMap: ReadonlyMap<string, string> | undefined,
  openFile: (file: FolderFile) => Promise<OpenedWeights>,
): WeightFiles {
  return {
    files,
    async open() {
      const opened = new Map<string, OpenedWeights>();
      const close = async () => {
        for (const file of opened.values()) await file.close();
      };
      try {
        for (const [name, file] of files) opened.set(name, await openFile(file));
      } catch (error) {
        await close();
        throw error;
      }
      const tensors = new Map<string, PlacedTensor>();
      for (const [name, file] of opened) {
        for (const [tensor, placed] of file.tensors) {
          // The index decides: a shard may hold a second copy of what another one is named for.
          if ((weightMap?.get(tensor) ?? name) === name) tensors.set(tensor, placed);
        }
      }
      return { tensors, close };
    },
  };
}

async function openSafetensorsWeights(found: FolderFile): Promise<OpenedWeights> {
  const file = await openSafetensors(found);
  const tensors = new Map([...file.tensors].map(([name, entry]) => [name, { ...entry, file }]));
  return { tensors, close: () => file.handle.close() };
}

async function noWeights(folder: string): Promise<string> {
  const metas = "consolidated.00.pth";
  if (await folderFile(folder, metas)) {
    return `${metas} is read with Meta's params.json beside it and no config.json, or convert it to model.safetensors`;
  }
  const found = (await readdir(folder)).filter((name) => /\.(?:safetensors|gguf|bin|pth?)$/i.test(name)).toSorted();
  const names = found.slice(0, 3).map((name) => JSON.stringify(name).slice(0, 200));
  const others = names.length > 0 ? ` (but ${names.join(", ")}${found.length > 3 ? ", …" : ""})` : "";
  const searched = kinds.map(({ single }) => single);
  return `there is neither ${searched.join(" nor ")}, nor an index of shards${others}: download the model again`;
}
