/** A base in the folder that transformers writes. */
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { parsePythonJson } from "../formats/strict_json.ts";
import type { BaseForm } from "./base_form.ts";
import { checkModelParts } from "./folder_parts.ts";
import { folderFile, readFolderJson } from "./model_folder.ts";
import { findWeightFiles, weightFileNames } from "./weight_files.ts";

export function folderForm(folder: string): BaseForm {
  const jsonOf = async (name: string, parse?: (text: string) => unknown) => ({
    json: await readFolderJson(folder, name, parse),
    path: join(folder, name),
  });
  return {
    readConfig: () => jsonOf("config.json", parsePythonJson),
    async readGeneration() {
      const name = "generation_config.json";
      return (await folderFile(folder, name)) ? await jsonOf(name) : { json: {}, path: join(folder, name) };
    },
    async findWeights() {
      const names = await weightFileNames(folder);
      if (names === undefined) return undefined;
      await checkModelParts(folder, names);
      return await findWeightFiles(folder);
    },
    requireWeights: () => findWeightFiles(folder),
    async configFiles() {
      const config = await folderFile(folder, "config.json");
      if (config === undefined) throw new InputError(`Cannot name the base in ${folder}`, "there is no config.json");
      return new Map([["config.json", config]]);
    },
  };
}
