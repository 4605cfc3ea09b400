/** From defaults, preset, file and flags to one checked config. */
import { dirname, resolve as resolvePath } from "node:path";
import { InputError } from "@zerogate/core";
import { readConfigFile } from "./config_file.ts";
import { alternatives, configKeys, type Field, fields, schema } from "./fields.ts";
import { flagName } from "./flag_name.ts";
import { presets } from "./presets.ts";
import { defaultOf, FIRST_VERSION, VERSION_KEY } from "./stored_config.ts";
import { suggest } from "./suggest.ts";
import { type ConfigKey, presetNames, type TrainConfig } from "./train_config.ts";

/** Template names that are not files. */
const builtInTemplates = ["alpaca", "plain"];

const pathKeys: readonly ConfigKey[] = [
  "model",
  "data",
  "out",
  "validationData",
  "cacheDir",
  "initAdapter",
  "template",
];

interface Given {
  readonly value: unknown;
  /** How messages name it: `batchSize (run.yaml, line 3)` or `--batch-size`. */
  readonly label: string;
}

/** Everything one source says, by key. */
type Layer = ReadonlyMap<ConfigKey, Given>;

interface FileLayer {
  readonly layer: Layer;
  /** The version that wrote the file, of a run's stored config. */
  readonly version: string | undefined;
}

/**
 * The config of a run; a later source wins: defaults, preset, file, flags. Relative paths start at the config file's
 * folder where the file names them, at the working directory where a flag does.
 *
 * @param sources.flags by key (`batchSize`), values as commander gives them: strings, booleans, arrays of strings.
 * @param sources.preset wins over a `preset` in file or flags.
 * @param sources.isStored The file is the config of a run: keys that it lacks have the value of the version that wrote it,
 *   whatever the presets and defaults are now.
 * @throws InputError with every problem of every source.
 */
export function resolveConfig(sources: {
  readonly file?: string | undefined;
  readonly flags?: Readonly<Record<string, unknown>> | undefined;
  readonly preset?: string | undefined;
  readonly isStored?: boolean;
}): TrainConfig {
  const problems: string[] = [];
  const { layer: file, version = FIRST_VERSION }: FileLayer =
    sources.file === undefined ? { layer: new Map(), version: undefined } : fileLayer(sources.file, problems);
  const flags = flagLayer({ ...sources.flags, preset: sources.preset ?? sources.flags?.["preset"] }, problems);
  const below = sources.isStored
    ? [defaultLayer(version)]
    : [defaultLayer(), presetLayer(flags.get("preset") ?? file.get("preset"))];

  const merged = new Map<ConfigKey, Given>();
  for (const layer of [...below, file, flags]) applyLayer(merged, layer);

  const [devices, workers] = [merged.get("devices"), merged.get("workers")];
  if (Array.isArray(devices?.value) && workers?.label === "workers") {
    merged.set("workers", { value: devices.value.length, label: devices.label }); // the default stands back
  }
  const values = Object.fromEntries([...merged].map(([key, { value }]) => [key, value]));
  const parsed = schema.safeParse(values);
  if (!parsed.success) problems.push(...describeIssues(parsed.error.issues, merged));
  else problems.push(...contradictions(parsed.data));
  if (problems.length > 0 || !parsed.success) throw new InputError("Cannot use this configuration", problems);
  return parsed.data;
}

function applyLayer(merged: Map<ConfigKey, Given>, layer: Layer): void {
  for (const group of alternatives) {
    const winner = group.find((key) => layer.has(key));
    if (winner !== undefined) for (const key of group) merged.delete(key);
  }
  for (const [key, given] of layer) {
    const group = alternatives.find((keys) => keys.includes(key));
    if (group === undefined || group.find((other) => layer.has(other)) === key) merged.set(key, given);
  }
}

/** The defaults of a version, by default this one. */
function defaultLayer(version?: string): Layer {
  const layer = new Map<ConfigKey, Given>();
  for (const key of configKeys) {
    const value = defaultOf(key, version);
    if (value !== undefined) layer.set(key, { value, label: key });
  }
  return layer;
}

/** A wrong name is reported with all other values. */
function presetLayer(given: Given | undefined): Layer {
  const name = presetNames.find((known) => known === given?.value);
  if (name === undefined) return new Map();
  const label = `preset ${name}`;
  return new Map(Object.entries(presets[name]).map(([key, value]) => [key as ConfigKey, { value, label }]));
}

function fileLayer(path: string, problems: string[]): FileLayer {
  const { values, lines } = readConfigFile(path);
  const layer = new Map<ConfigKey, Given>();
  let version: string | undefined;
  for (const [name, value] of values) {
    const place = `(${path}, line ${lines.get(name)})`;
    if (name === VERSION_KEY && typeof value === "string") {
      version = value;
      continue;
    }
    if (!isKey(name)) problems.push(`${unknownKey(name)} ${place}`);
    else if (value !== null) {
      layer.set(name, { value: withPaths(name, listed(name, value), dirname(path)), label: `${name} ${place}` });
    }
  }
  return { layer, version };
}

function flagLayer(flags: Readonly<Record<string, unknown>>, problems: string[]): Layer {
  const layer = new Map<ConfigKey, Given>();
  for (const [name, value] of Object.entries(flags)) {
    if (value === undefined) continue;
    if (!isKey(name)) problems.push(unknownKey(name));
    else layer.set(name, { value: withPaths(name, fromText(name, listed(name, value)), "."), label: flagName(name) });
  }
  return layer;
}

const isKey = (name: string): name is ConfigKey => configKeys.includes(name as ConfigKey);

function unknownKey(name: string): string {
  const near = suggest(name, configKeys);
  return `unknown key ${show(name)}${near === undefined ? "" : `: did you mean "${near}"?`}`;
}

/** One file may be written without the brackets of a list, GPUs as `0,1`. */
function listed(key: ConfigKey, value: unknown): unknown {
  if (key === "devices" && typeof value === "number") return [value];
  if (key === "devices" && typeof value === "string" && /^\d+(,\d+)*$/.test(value)) return value.split(",").map(Number);
  return (key === "data" || key === "validationData") && typeof value === "string" ? [value] : value;
}

/** A flag's text as the number or boolean that the key holds; text that is neither stays, and is reported as it was typed. */
function fromText(key: ConfigKey, value: unknown): unknown {
  if (typeof value !== "string") return value;
  const { type }: Field<unknown> = fields[key];
  if (type.safeParse(value).success || value.trim() === "") return value;
  if (value === "true" || value === "false") return value === "true";
  return Number.isNaN(Number(value)) ? value : Number(value);
}

function withPaths(key: ConfigKey, value: unknown, folder: string): unknown {
  if (!pathKeys.includes(key)) return value;
  if (Array.isArray(value)) return value.map((item: unknown) => withPaths(key, item, folder));
  if (typeof value !== "string" || value === "") return value;
  return key === "template" && builtInTemplates.includes(value) ? value : resolvePath(folder, value);
}

/** zod says where; what was expected is said in the words of the field. */
function describeIssues(issues: readonly { readonly path: readonly PropertyKey[] }[], merged: Layer): string[] {
  const keys = new Set(issues.map((issue) => issue.path[0] as ConfigKey));
  return [...keys].map((key) => {
    const given = merged.get(key);
    const { expects } = fields[key];
    return given === undefined
      ? `${key} is missing, expected ${expects}: give ${flagName(key)} or put it in the config file`
      : `${given.label} is ${show(given.value)}, expected ${expects}`;
  });
}

/** What is wrong between keys that are each right. */
function contradictions(config: TrainConfig): string[] {
  const problems: string[] = [];
  const peak = peakLearningRate(config);
  if (config.schedule !== "constant" && config.minLr > peak) {
    problems.push(`minLr is ${config.minLr}, expected at most the peak learning rate ${peak}`);
  }
  const noValidation = config.valFraction === 0 && config.validationData === undefined;
  if (config.earlyStopping > 0 && noValidation) {
    problems.push("earlyStopping needs validation, but valFraction is 0 and validationData is not set");
  }
  if (config.warmupEpochs !== undefined && config.epochs !== undefined && config.warmupEpochs > config.epochs) {
    problems.push(`warmupEpochs is ${config.warmupEpochs}, expected at most epochs, ${config.epochs}`);
  }
  if (config.warmupSteps !== undefined && config.steps !== undefined && config.warmupSteps > config.steps) {
    problems.push(`warmupSteps is ${config.warmupSteps}, expected at most steps, ${config.steps}`);
  }
  return problems;
}

/** `lr`, or `blr · batchSize / 256` as in the authors' code. */
export function peakLearningRate(config: TrainConfig): number {
  const { lr, blr, batchSize } = config;
  if (lr !== undefined) return lr;
  if (blr === undefined) throw new RangeError("Cannot find the learning rate: the config has neither lr nor blr");
  return (blr * batchSize) / 256;
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
