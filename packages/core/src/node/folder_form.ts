/** A base in the folder that transformers writes. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { readQuantization } from "../formats/packed/quantization.ts";
import { parsePythonJson } from "../formats/strict_json.ts";
import type { BaseForm } from "./base_form.ts";
import { checkModelParts } from "./folder_parts.ts";
import { folderFile, readFolderJson } from "./model_folder.ts";
import { unpackTensors } from "./packed_tensors.ts";
import { findWeightFiles, type WeightFiles, weightFileNames } from "./weight_files.ts";

export function folderForm(folder: string): BaseForm {
  const jsonOf = async (name: string, parse?: (text: string) => unknown) => ({
    json: await readFolderJson(folder, name, parse),
    path: join(folder, name),
  });
  const readConfig = async () => {
    if ((await folderFile(folder, "config.json")) === undefined) await refuseGgufOnly(folder);
    return await jsonOf("config.json", parsePythonJson);
  };
  /** Unpacks what the config says is packed; files that hold a model without one are opened as they are. */
  const asConfigured = ({ files, open }: WeightFiles): WeightFiles => ({
    files,
    async open() {
      const hasConfig = (await folderFile(folder, "config.json")) !== undefined;
      const { packings, problems } = readQuantization(hasConfig ? (await readConfig()).json : undefined);
      if (problems.length > 0) throw new InputError(`Cannot load the model in ${folder}`, problems);
      const opened = await open();
      try {
        return { tensors: await unpackTensors(opened.tensors, packings, folder), close: opened.close };
      } catch (error) {
        await opened.close();
        throw error;
      }
    },
  });
  return {
    readConfig,
    async readGeneration() {
      const name = "generation_config.json";
      return (await folderFile(folder, name)) ? await jsonOf(name) : { json: {}, path: join(folder, name) };
    },
    async findWeights() {
      const names = await weightFileNames(folder);
      if (names === undefined) return undefined;
      await checkModelParts(folder, names);
      return asConfigured(await findWeightFiles(folder));
    },
    requireWeights: async () => asConfigured(await findWeightFiles(folder)),
    async configFiles() {
      const config = await folderFile(folder, "config.json");
      if (config === undefined) throw new InputError(`Cannot name the base in ${folder}`, "there is no config.json");
      return new Map([["config.json", config]]);
    },
  };
}

/** Refuses a folder of GGUF files without another model, and names the files to choose from. */
async function refuseGgufOnly(folder: string): Promise<void> {
  const found = (await readdir(folder)).filter(
    (name) => /\.gguf$/i.test(name) && !/-(?!00001)\d{5}-of-\d{5}\.gguf$/i.test(name),
  );
  const names = found.toSorted().map((name) => JSON.stringify(name).slice(0, 200));
  if (names.length === 0) return;
  const named = names.slice(0, 3).join(", ") + (names.length > 3 ? ", …" : "");
  throw new InputError(`Cannot use ${folder} as a model`, `it holds GGUF files (${named}): name one of them`);
}
