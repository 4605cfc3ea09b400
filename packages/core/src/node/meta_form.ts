/** A base as Meta gave it out: `params.json` and `consolidated.00.pth`, `.01.pth` …, one file for each GPU that it was cut over. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { metaTensor } from "../model/meta/names.ts";
import { metaConfig, metaHeads } from "../model/meta/params.ts";
import { pairedRows } from "../model/paired_rows.ts";
import type { BaseForm } from "./base_form.ts";
import { checkModelParts } from "./folder_parts.ts";
import { joinedTensor } from "./joined_tensor.ts";
import { type FolderFile, folderFile, readFolderJson } from "./model_folder.ts";
import type { OpenedWeights, PlacedTensor } from "./placed_tensor.ts";
import { openTorchWeights } from "./torch_weights.ts";
import type { WeightFiles } from "./weight_files.ts";

const PARAMS = "params.json";
const EMBEDDING = "tok_embeddings.weight";
const shardName = /^consolidated\.(\d{2})\.pth$/;

/** Whether a folder is of this form: it has no config.json, and Meta's files. */
export async function isMetaFolder(folder: string): Promise<boolean> {
  const names = new Set(await readdir(folder).catch(() => []));
  return !names.has("config.json") && names.has(PARAMS) && names.has("consolidated.00.pth");
}

export function metaForm(folder: string): BaseForm {
  const requireWeights = async (): Promise<WeightFiles> => {
    const files = await shardsOf(folder);
    return { files, open: () => openShards(files, folder) };
  };
  return {
    async readConfig() {
      const path = join(folder, PARAMS);
      const params = await readFolderJson(folder, PARAMS);
      const { tensors, close } = await openShards(await shardsOf(folder), folder);
      try {
        const rows = (name: string) => tensors.get(name)?.shape[0] ?? 0;
        const sizes = {
          vocabSize: rows("model.embed_tokens.weight"),
          intermediateSize: rows("model.layers.0.mlp.gate_proj.weight"),
        };
        return { json: metaConfig(params, sizes, path), path };
      } finally {
        await close();
      }
    },
    readGeneration: async () => ({ json: {}, path: join(folder, PARAMS) }),
    async findWeights() {
      const weights = await requireWeights();
      await checkModelParts(folder, new Set(weights.files.keys()));
      return weights;
    },
    requireWeights,
    async configFiles() {
      const params = await folderFile(folder, PARAMS);
      if (params === undefined) throw new InputError(`Cannot name the base in ${folder}`, `there is no ${PARAMS}`);
      return new Map([[PARAMS, params]]);
    },
  };
}

/** All of them, from 00 on without a gap. */
async function shardsOf(folder: string): Promise<ReadonlyMap<string, FolderFile>> {
  const names = (await readdir(folder)).filter((name) => shardName.test(name)).toSorted();
  const files = new Map<string, FolderFile>();
  for (const [i, name] of names.entries()) {
    const expected = `consolidated.${String(i).padStart(2, "0")}.pth`;
    const file = await folderFile(folder, name);
    if (name !== expected || !file) {
      throw new InputError(`Cannot load the model in ${folder}`, `${expected} is not there: fetch the missing shard`);
    }
    files.set(name, file);
  }
  return files;
}

async function openShards(files: ReadonlyMap<string, FolderFile>, folder: string): Promise<OpenedWeights> {
  const opened: OpenedWeights[] = [];
  const close = async () => {
    for (const file of opened) await file.close();
  };
  try {
    for (const file of files.values()) opened.push(await openTorchWeights(file));
    return { tensors: joined(opened, await readFolderJson(folder, PARAMS), folder), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The tensors of all shards under their names in transformers. */
function joined(shards: readonly OpenedWeights[], params: unknown, folder: string): ReadonlyMap<string, PlacedTensor> {
  const attempt = `Cannot use ${folder} as a model`;
  const heads = metaHeads(params, join(folder, PARAMS));
  const tensors = new Map<string, PlacedTensor>();
  for (const name of new Set(shards.flatMap(({ tensors: own }) => [...own.keys()]))) {
    const found = metaTensor(name);
    if (found === undefined) {
      const problem = `its tensor ${JSON.stringify(name.slice(0, 200))} is not read, and may change what it computes`;
      throw new InputError(attempt, problem);
    }
    if (found === null) continue;
    const parts = shards.flatMap(({ tensors: own }) => own.get(name) ?? []);
    if (parts.length < shards.length) {
      throw new InputError(
        attempt,
        `${parts.length} of ${shards.length} shards have ${name}: use all files of one model`,
      );
    }
    // Llama 3 cuts the embedding by rows, those before it by columns: then a part is as wide as a norm.
    const isCutByRows = name === EMBEDDING && parts[0]?.shape[1] === shards[0]?.tensors.get("norm.weight")?.shape[0];
    const tensor = joinedTensor(parts, isCutByRows ? 0 : found.cut, name, attempt);
    const count = heads[found.heads ?? "queries"];
    const rows = tensor.shape[0] ?? 0;
    const isWhole = found.heads !== undefined && rows % (2 * count) === 0;
    if (found.heads !== undefined && !isWhole) {
      throw new InputError(
        attempt,
        `${name} has ${rows} rows, params.json says ${count} heads: use all files of one model`,
      );
    }
    tensors.set(found.hfName, isWhole ? { ...tensor, rowTo: pairedRows(rows / count) } : tensor);
  }
  return tensors;
}
