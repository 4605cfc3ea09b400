/**
 * Several adapters in one folder, as PEFT lays them out: `default` in the folder itself, each other one in a folder of its
 * name below. Unlike PEFT before 0.21 each gets its own numbers, and unlike in 0.21 under any name.
 */
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import type { ModelConfig } from "../model/config.ts";
import { loadAdapter, type SavedAdapter, saveAdapter } from "./adapter_files.ts";
import { reason } from "./fs_errors.ts";
import type { LoadedAdapter } from "./loaded_adapter.ts";
import { folderFile } from "./model_folder.ts";

const DEFAULT = "default";
const CONFIG = "adapter_config.json";
/** Files of the folder itself, and what a file system or `folderFile` takes for something else. */
const reserved =
  /[/\\\0]|^\.{1,2}$|^adapter_(?:config\.json|model\.\w+)$|^(?:README\.md|zerogate\.json|vision\.safetensors|vision_config\.json)$/;
/** What a file system holds as it is: half a character becomes another one, a longer name is refused. */
const isFolderName = (name: string) =>
  !reserved.test(name) && !loneSurrogate.test(name) && Buffer.byteLength(name) <= 255;
const loneSurrogate = /\p{Surrogate}/u;

/** What `AdaptionPromptModel` offers of its adapters. */
export interface AdapterSource {
  readonly adapterNames: readonly string[];
  /** Returns an adapter by its name. */
  adapter(name: string): SavedAdapter;
}

/**
 * Saves the adapters of a model, or those that `selectedAdapters` names, each by `saveAdapter`.
 * @throws InputError, before anything is written, for an unknown name, one that cannot be a folder, and a `folder` that is a file.
 */
export async function saveAdapters(
  folder: string,
  model: AdapterSource,
  { selectedAdapters = model.adapterNames, ...options }: SaveAdaptersOptions = {},
): Promise<void> {
  const chosen = selectedAdapters.map((name) => ({ name, adapter: model.adapter(name) }));
  const attempt = `Cannot save adapters in ${folder}`;
  const bad = chosen.filter(({ name }) => name !== DEFAULT && !isFolderName(name));
  if (bad.length > 0) {
    throw new InputError(
      attempt,
      bad.map(({ name }) => `${JSON.stringify(name)} cannot name a folder: add the adapter under another name`),
    );
  }
  if ((await stat(folder).catch(() => undefined))?.isFile()) {
    throw new InputError(attempt, "it is a file, needed is a folder");
  }
  await mkdir(folder, { recursive: true });
  for (const { name, adapter } of chosen) {
    const { config, layout, params, seen } = adapter;
    await saveAdapter(name === DEFAULT ? folder : join(folder, name), { config, layout, params, seen, ...options });
  }
}

/** Which adapters `saveAdapters` writes, and how. */
export interface SaveAdaptersOptions extends Pick<SavedAdapter, "dtype" | "metadata" | "promptFormat"> {
  /** Names of those to save. @default all */
  readonly selectedAdapters?: readonly string[];
}

/**
 * Returns the names of the adapters in a folder: `default` first if it is there, the others ascending.
 *
 * @example
 * await listAdapters("adapters"); // ["default", "poems"]
 */
export async function listAdapters(folder: string): Promise<string[]> {
  const below = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new InputError(`Cannot list the adapters in ${folder}`, reason(cause), { cause });
  });
  const names: string[] = [];
  if (await folderFile(folder, CONFIG)) names.push(DEFAULT);
  const folders = below.filter((entry) => entry.isDirectory() && entry.name !== DEFAULT);
  for (const { name } of folders.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (await folderFile(join(folder, name), CONFIG)) names.push(name);
  }
  return names;
}

/**
 * Loads all adapters of a folder, or those named, by `loadAdapter`.
 *
 * @throws InputError what that throws, and for a folder without any.
 * @example
 * for (const [name, loaded] of await loadAdapters("adapters", config)) console.log(name, loaded.shape);
 */
export async function loadAdapters(
  folder: string,
  model: ModelConfig,
  { selectedAdapters, strict }: { selectedAdapters?: readonly string[]; strict?: boolean } = {},
): Promise<Map<string, LoadedAdapter>> {
  const names = await listAdapters(folder);
  const unknown = (selectedAdapters ?? []).filter((name) => !names.includes(name));
  if (names.length === 0 || unknown.length > 0) {
    const known = names.map((name) => JSON.stringify(name)).join(", ") || "none";
    const wanted =
      unknown.length > 0 ? `${unknown.map((name) => JSON.stringify(name)).join(", ")} is not there` : "it is empty";
    throw new InputError(`Cannot load adapters from ${folder}`, `${wanted}; adapters in it: ${known}`);
  }
  const loaded = new Map<string, LoadedAdapter>();
  for (const name of selectedAdapters ?? names) {
    const path = name === DEFAULT ? folder : join(folder, name);
    loaded.set(name, await loadAdapter(path, model, strict === undefined ? {} : { strict }));
  }
  return loaded;
}
