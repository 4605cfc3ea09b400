/** From defaults, preset, file and flags to one checked config. */
import { InputError } from "@zerogate/core";
import type { RepoName } from "@zerogate/hub/light";
import { deviceCount } from "../engines/registry.ts";
import { dataContradictions } from "./data_entries.ts";
import { alternatives, configKeys, fields, schema } from "./fields.ts";
import { flagName } from "./flag_name.ts";
import { presets } from "./presets.ts";
import { type FileLayer, fileLayer, flagLayer, type Given, type Layer, show } from "./sources.ts";
import { defaultOf, FIRST_VERSION } from "./stored_config.ts";
import { type ConfigKey, presetNames, type TrainConfig } from "./train_config.ts";
import { visionContradictions } from "./vision_shape.ts";

/**
 * The config of a run; a later source wins: defaults, preset, file, flags. Relative paths start at the config file's
 * folder if the file names them, at the working directory if a flag does.
 *
 * @param sources.flags by key (`batchSize`), values as commander gives them: strings, booleans, arrays of strings.
 * @param sources.settings in place of flags: values by key, which messages name by their key.
 * @param sources.preset wins over a `preset` in file or flags.
 * @param sources.isStored The file is the config of a run: keys that it lacks have the value of the version that wrote it,
 *   whatever the presets and defaults are now.
 * @param sources.onNote Receives each name in the file that is taken for a key of ours.
 * @param sources.onMissing Receives each repository of the Hub that the cache lacks; each is a problem too.
 * @throws InputError with every problem of every source.
 */
export function resolveConfig(sources: {
  readonly file?: string | undefined;
  readonly flags?: Readonly<Record<string, unknown>> | undefined;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly preset?: string | undefined;
  readonly isStored?: boolean;
  readonly onNote?: (note: string) => void;
  readonly onMissing?: (name: RepoName) => void;
}): TrainConfig {
  const { isStored = false, onNote = () => {}, onMissing = () => {}, settings } = sources;
  const problems: string[] = [];
  const findings = { problems, onNote, onMissing };
  const { layer: file, version = FIRST_VERSION }: FileLayer =
    sources.file === undefined ? { layer: new Map(), version: undefined } : fileLayer(sources.file, isStored, findings);
  const given = { ...(settings ?? sources.flags) };
  const named = { ...given, preset: sources.preset ?? given["preset"] };
  const flags = flagLayer(named, findings, settings === undefined ? flagName : String);
  const below = isStored
    ? [defaultLayer(version)]
    : [defaultLayer(), presetLayer(flags.get("preset") ?? file.get("preset"))];

  const merged = new Map<ConfigKey, Given>();
  const layers = [...below, file, flags];
  for (const layer of layers) applyLayer(merged, layer);

  const engine = merged.get("engine")?.value;
  if (merged.get("workers") === below[0]?.get("workers"))
    merged.set("workers", { value: deviceCount(engine), label: "workers" });
  const values = Object.fromEntries([...merged].map(([key, { value }]) => [key, value]));
  const parsed = schema.safeParse(values);
  if (!parsed.success) problems.push(...describeIssues(parsed.error.issues, merged));
  else {
    const layerOf = (key: ConfigKey) => layers.findIndex((layer) => layer.get(key) === merged.get(key));
    // A warm-up that an earlier source gave, for a longer run, is shortened once the number of steps is known.
    const isForLonger = (warmup: ConfigKey, length: ConfigKey) =>
      !sources.isStored && layerOf(warmup) < layerOf(length);
    problems.push(...contradictions(parsed.data, isForLonger));
  }
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
  const devices = layer.get("devices"); // a worker each, if the same source does not say another number
  if (Array.isArray(devices?.value) && !layer.has("workers")) {
    merged.set("workers", { value: devices.value.length, label: devices.label });
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

/** zod reports where; the field's own words say what was expected. */
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
function contradictions(config: TrainConfig, isForLonger: (warmup: ConfigKey, length: ConfigKey) => boolean): string[] {
  const problems: string[] = [];
  const peak = peakLearningRate(config);
  if (config.schedule !== "constant" && config.minLr > peak) {
    problems.push(`minLr is ${config.minLr}, expected at most the peak learning rate ${peak}`);
  }
  const noValidation = config.valFraction === 0 && config.validationData === undefined;
  if (config.earlyStopping > 0 && noValidation) {
    problems.push("earlyStopping needs validation, but valFraction is 0 and validationData is not set");
  }
  if (config.sampleEvery > 0 && noValidation) {
    problems.push("sampleEvery asks held-out prompts, but valFraction is 0 and validationData is not set");
  }
  if (config.sampleEvery > 0 && config.reportAnswers === 0) {
    problems.push("sampleEvery asks the prompts of reportAnswers, which is 0: expected at least 1");
  }
  for (const [warmup, length] of [
    ["warmupEpochs", "epochs"],
    ["warmupSteps", "steps"],
  ] as const) {
    const [short, whole] = [config[warmup], config[length]];
    if (short !== undefined && whole !== undefined && short > whole && !isForLonger(warmup, length)) {
      problems.push(`${warmup} is ${short}, expected at most ${length}, ${whole}`);
    }
  }
  return [...problems, ...dataContradictions(config.data), ...visionContradictions(config)];
}

/** `lr`, or `blr · batchSize / 256` as in the authors' code. */
export function peakLearningRate(config: TrainConfig): number {
  const { lr, blr, batchSize } = config;
  if (lr !== undefined) return lr;
  if (blr === undefined) throw new RangeError("Cannot find the learning rate: the config has neither lr nor blr");
  return (blr * batchSize) / 256;
}
