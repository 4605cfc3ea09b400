/** What a config file says and what flags say, by key; names of elsewhere are taken for the keys that mean the same. */
import { dirname, resolve as resolvePath } from "node:path";
import type { RepoName } from "@zerogate/hub/light";
import { isEnginePath } from "../engines/rows.ts";
import { hubPlace } from "../hub_place.ts";
import { readConfigFile } from "./config_file.ts";
import { placedData } from "./data_entries.ts";
import { configKeys, fields } from "./fields.ts";
import type { Field } from "./kinds.ts";
import { VERSION_KEY } from "./stored_config.ts";
import { suggest } from "./suggest.ts";
import { type Synonym, synonymOf } from "./synonyms.ts";
import { type ConfigKey, formerNames } from "./train_config.ts";

/** Words that are no paths. */
const words: { readonly [K in ConfigKey]?: readonly string[] } = {
  template: ["alpaca", "plain", "scienceqa", "chat", "chatml", "zephyr"],
  tokenizer: ["model"],
  tower: ["none"],
  imageRoot: ["beside-data"],
};

const pathKeys: readonly ConfigKey[] = [
  "model",
  "tokenizer",
  "out",
  "validationData",
  "cacheDir",
  "initAdapter",
  "template",
  "tower",
  "imageRoot",
];

/** Keys that may name a repository of the Hub. */
const hubKeys: readonly ConfigKey[] = ["model", "tokenizer", "initAdapter", "tower"];

export interface Given {
  readonly value: unknown;
  /** How messages name it: `batchSize (run.yaml, line 3)` or `--batch-size`. */
  readonly label: string;
}

/** Everything one source says, by key. */
export type Layer = ReadonlyMap<ConfigKey, Given>;

export interface FileLayer {
  readonly layer: Layer;
  /** The version that wrote the file, of a run's stored config. */
  readonly version: string | undefined;
}

/** Collects what was found: problems, and names that were taken for others. */
export interface Findings {
  readonly problems: string[];
  readonly onNote: (note: string) => void;
  /** Receives the repositories that the Hub's cache lacks. */
  readonly onMissing: (name: RepoName) => void;
}

/** @param isStored A run wrote the file: its names are ours. */
export function fileLayer(path: string, isStored: boolean, findings: Findings): FileLayer {
  const { problems, onNote } = findings;
  const { values, lines } = readConfigFile(path);
  const layer = new Map<ConfigKey, Given>();
  let version: string | undefined;
  for (const [name, value] of values) {
    const place = `(${path}, line ${lines.get(name)})`;
    if (name === VERSION_KEY && typeof value === "string") {
      version = value;
      continue;
    }
    const meant = isKey(name) ? undefined : isStored ? formerName(name) : synonymOf(name, configKeys, String);
    const key = meant && "key" in meant ? meant.key : name;
    if (meant && "instead" in meant) problems.push(`${name} ${place} is no key: ${meant.instead}`);
    else if (!isKey(key)) problems.push(`${unknownKey(name)} ${place}`);
    else if (key !== name && (values.has(key) || layer.has(key))) {
      const other = layer.get(key)?.label ?? `line ${lines.get(key)}`;
      problems.push(`${name} ${place} means ${key}, which ${other} gives: leave one out`);
    } else if (value !== null) {
      if (key !== name && !isStored) onNote(`${name} ${place} is taken as ${key}`);
      const label = `${name} ${place}`;
      const source = { label, folder: dirname(path), isTyped: false };
      layer.set(key, { value: placed(key, listed(key, value), source, findings), label });
    }
  }
  return { layer, version };
}

/** @param labelOf How messages name a key. */
export function flagLayer(
  flags: Readonly<Record<string, unknown>>,
  findings: Findings,
  labelOf: (key: ConfigKey) => string,
): Layer {
  const layer = new Map<ConfigKey, Given>();
  for (const [name, value] of Object.entries(flags)) {
    if (value === undefined) continue;
    if (!isKey(name)) {
      findings.problems.push(unknownKey(name));
      continue;
    }
    const label = labelOf(name);
    layer.set(name, {
      value: placed(name, fromText(name, listed(name, value)), { label, folder: ".", isTyped: true }, findings),
      label,
    });
  }
  return layer;
}

const isKey = (name: string): name is ConfigKey => configKeys.includes(name as ConfigKey);

function formerName(name: string): Synonym | undefined {
  const key = Object.hasOwn(formerNames, name) ? formerNames[name] : undefined;
  return key && { key };
}

function unknownKey(name: string): string {
  const near = suggest(name, configKeys);
  return `unknown key ${show(name)}${near === undefined ? "" : `: did you mean "${near}"?`}`;
}

/** One file may be written without the brackets of a list, GPUs as `0,1`, columns as `output=answer`. */
function listed(key: ConfigKey, value: unknown): unknown {
  if (key === "fields") return mapped(value);
  if (key === "devices" && typeof value === "number") return [value];
  if (key === "devices" && typeof value === "string" && /^\d+(,\d+)*$/.test(value)) return value.split(",").map(Number);
  const isOne = typeof value === "string" || (key === "data" && isObject(value));
  return (key === "data" || key === "validationData") && isOne ? [value] : value;
}

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);

/** `instruction=question`, one text or several, as a map; what is no such text stays, and is reported as it was typed. */
export function mapped(value: unknown): unknown {
  const texts: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (texts.length === 1 && (texts[0] === "auto" || texts[0] === "own")) return texts[0];
  const pairs = texts.map((text) => (typeof text === "string" ? /^([^=]+)=(.+)$/s.exec(text) : null));
  const names = pairs.map((pair) => pair?.[1] ?? "");
  if (names.includes("") || new Set(names).size < names.length) return value;
  return Object.fromEntries(pairs.map((pair) => [pair?.[1], pair?.[2]]));
}

/** A flag's text as the number or boolean that the key holds; text that is neither stays, and is reported as it was typed. */
function fromText(key: ConfigKey, value: unknown): unknown {
  if (typeof value !== "string") return value;
  const { type }: Field<unknown> = fields[key];
  if (type.safeParse(value).success || value.trim() === "") return value;
  if (value === "true" || value === "false") return value === "true";
  return Number.isNaN(Number(value)) ? value : Number(value);
}

/** A value with whole paths; what the Hub's cache has of a name is one. */
function placed(
  key: ConfigKey,
  value: unknown,
  { label, folder, isTyped }: { readonly label: string; readonly folder: string; readonly isTyped: boolean },
  { problems, onMissing }: Findings,
): unknown {
  if (key === "data") return placedData(value, folder, isTyped, (text) => words.template?.includes(text) === true);
  const place = hubKeys.includes(key) && typeof value === "string" ? hubPlace(value, folder) : undefined;
  if (place === undefined) return withPaths(key, value, folder);
  if ("path" in place) return place.path;
  problems.push(`${label} is ${show(value)}: ${place.problem}`);
  onMissing(place.missing);
  return value;
}

function withPaths(key: ConfigKey, value: unknown, folder: string): unknown {
  if (key === "engine" && typeof value === "string" && isEnginePath(value)) return resolvePath(folder, value);
  if (!pathKeys.includes(key)) return value;
  if (Array.isArray(value)) return value.map((item: unknown) => withPaths(key, item, folder));
  if (typeof value !== "string" || value === "") return value;
  return words[key]?.includes(value) ? value : resolvePath(folder, value);
}

export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
