/** The folder or file of an adapter, for which a run may be named instead, and the base that an adapter names. */
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { InputError } from "@zerogate/core";
import { isHubId, parseStrictJson } from "@zerogate/core/formats";
import { isBaseAt, reason } from "@zerogate/core/node";
import { hubPlace, localPlace, ownCommand } from "@zerogate/run-config";
import { checkpointFolder, listCheckpoints } from "@zerogate/run-files";
import { checkLinks } from "./links.ts";

const CONFIG = "adapter_config.json";

/** An adapter's folder, or its file if another program wrote it, and what the adapter is called. */
export interface NamedAdapter {
  readonly folder: string;
  readonly name: string;
}

/** Folders of a base and of adapters for it, which are there. */
export interface Located {
  readonly folder: string;
  readonly adapters: readonly NamedAdapter[];
}

/**
 * Finds what a command was given.
 * @param wanted.model Undefined for the base that the first adapter names.
 * @param wanted.adapters `DIR` or `DIR=NAME`, or a file; without a name an adapter is called after it. Named ones were found before.
 * @param wanted.onlyFolders Refuses files of other programs.
 * @throws InputError if something is not there, or two adapters have one name.
 */
export async function locateModel(
  wanted: {
    readonly model: string | undefined;
    readonly adapters: readonly (string | NamedAdapter)[];
    readonly links?: boolean | undefined;
    readonly onlyFolders?: boolean;
  },
  onNote: (note: string) => void,
): Promise<Located> {
  const place = wanted.onlyFolders ? adapterFolder : adapterPlace;
  const adapters: NamedAdapter[] = [];
  for (const given of wanted.adapters) {
    const { folder, name } = typeof given === "string" ? parseAdapterFlag(given) : given;
    if (adapters.some((other) => other.name === name)) {
      const way = `name this one with --adapter ${folder}=NAME`;
      throw new InputError(
        `Cannot use --adapter ${typeof given === "string" ? given : folder}`,
        `there is an adapter "${name}" before it: ${way}`,
      );
    }
    adapters.push({ folder: await place(folder, onNote, wanted.links), name });
  }
  const folders = adapters.map(({ folder }) => folder);
  const folder = await baseFolder(wanted.model, folders, onNote);
  await checkLinks(wanted, [folder]);
  return { folder, adapters };
}

/** `DIR=NAME` or `DIR`. A `=` inside the folder's own name is fine as long as a name follows the last one. */
function parseAdapterFlag(text: string): NamedAdapter {
  const at = text.lastIndexOf("=");
  if (at === -1) return { folder: text, name: basename(text) };
  const [folder, name] = [text.slice(0, at), text.slice(at + 1)];
  if (folder === "" || name === "") {
    throw new InputError(`Cannot use --adapter ${text}`, "expected DIR or DIR=NAME");
  }
  return { folder, name };
}

/**
 * Returns what `findAdapter` does.
 * @param links False: refuses links in the folder that lead out of it.
 */
export async function adapterFolder(given: string, onNote: (note: string) => void, links?: boolean): Promise<string> {
  const folder = await findAdapter(localPlace(given, `Cannot use the adapter ${given}`), onNote);
  await checkLinks({ links }, [folder]);
  return folder;
}

/** Returns what `adapterFolder` does; a file itself, which `loadAdapter` recognises. */
export async function adapterPlace(given: string, onNote: (note: string) => void, links?: boolean): Promise<string> {
  const place = localPlace(given, `Cannot use the adapter ${given}`);
  const found = await stat(place).catch(() => undefined);
  return found?.isFile() ? place : adapterFolder(place, onNote, links);
}

/**
 * Returns the folder itself if it is an adapter's; that of the run's adapter, or of its newest checkpoint, if it is a
 * run's.
 * @param onNote Receives which adapter of a run is used.
 * @throws InputError if there is no folder, or it holds neither.
 */
async function findAdapter(given: string, onNote: (note: string) => void): Promise<string> {
  const attempt = `Cannot use the adapter ${given}`;
  const found = await stat(given).catch((cause: unknown) => {
    throw new InputError(attempt, `${reason(cause)}: name a folder that holds ${CONFIG}, or a run`, { cause });
  });
  if (!found.isDirectory()) {
    const way = `name the folder that holds ${CONFIG}; ${ownCommand`convert`} reads files of other programs`;
    throw new InputError(attempt, `it is a file: ${way}`);
  }
  if (existsSync(join(given, CONFIG))) return given;
  const finished = join(given, "adapter");
  if (existsSync(join(finished, CONFIG))) return finished;
  const [newest] = await listCheckpoints(given);
  if (newest !== undefined) {
    onNote(`${given} is a run that has no adapter yet: its newest checkpoint, step ${newest}, is used`);
    return checkpointFolder(given, newest);
  }
  const isRun = existsSync(join(given, "receipt.jsonl")) || existsSync(join(given, "log.jsonl"));
  const problem = isRun
    ? `it is a run without a checkpoint yet: ${ownCommand`resume ${given}`} goes on with it`
    : `there is no ${CONFIG} in it: name an adapter's folder or a run`;
  throw new InputError(attempt, problem);
}

/**
 * Returns `--model`, or the base that the first of the adapters names and that is here.
 * @param onNote Receives which base that is.
 */
async function baseFolder(
  model: string | undefined,
  adapters: readonly string[],
  onNote: (note: string) => void,
): Promise<string> {
  if (model !== undefined) return localPlace(model, `Cannot use the model ${model}`);
  const attempt = "Cannot find the base";
  const [adapter] = adapters;
  if (adapter === undefined) {
    throw new InputError(attempt, "--model is missing, it names the folder of the base model");
  }
  const found = await namedBase(adapter, onNote);
  if (found !== undefined) return found;
  const { name, revision } = await baseName(adapter);
  if (name !== undefined && isHubId(name)) {
    const line = ownCommand`download ${revision === undefined ? name : `${name}@${revision}`}`;
    const problem = `names ${name}, which is neither a folder here nor in the Hub's cache`;
    throw new InputError(attempt, `${adapter} ${problem}: ${line} fetches it, or give --model`);
  }
  const problem = name === undefined ? "does not name it" : `names ${name}, which is no model folder here`;
  throw new InputError(attempt, `${adapter} ${problem}: give --model`);
}

/**
 * Returns the folder of the base that an adapter names, a name of the Hub as its cache has it; undefined if it names none or it is
 * not here.
 */
export async function namedBase(adapter: string, onNote: (note: string) => void): Promise<string | undefined> {
  const { name, revision } = await baseName(adapter);
  if (name === undefined) return undefined;
  const place = hubPlace(revision === undefined ? name : `${name}@${revision}`);
  const folder = place !== undefined && "path" in place ? place.path : name;
  if (!(await isBaseAt(folder))) return undefined;
  onNote(`The base is ${name}, which the adapter names`);
  return folder;
}

interface NamedBase {
  readonly name?: string | undefined;
  /** Of a name on the Hub. */
  readonly revision?: string | undefined;
}

/** What `adapter_config.json` says; whether the rest of it is right is for others to find out. Files of other programs name no base. */
async function baseName(folder: string): Promise<NamedBase> {
  if ((await stat(folder).catch(() => undefined))?.isFile()) return {};
  const path = join(folder, CONFIG);
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new InputError(`Cannot read ${path}`, reason(cause), { cause });
  });
  let config: unknown;
  try {
    config = parseStrictJson(text);
  } catch (cause) {
    throw new InputError(`Cannot read ${path}`, `not valid JSON: ${reason(cause)}`, { cause });
  }
  const said = config as Readonly<Record<string, unknown>> | null;
  const textOf = (key: string) => {
    const value = said?.[key];
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  return { name: textOf("base_model_name_or_path"), revision: textOf("revision") };
}
