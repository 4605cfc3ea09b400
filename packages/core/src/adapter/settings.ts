/**
 * What somebody chooses of an adapter besides its size. A new choice is a row here and what it does (`parts/`, `kinds/`): its
 * values, its default, how files say it and how shapes are completed follow.
 */
import { InputError } from "../errors.ts";

/** A value for each setting, by the names of config keys. */
export interface AdapterSettings {
  /** `scalar` is PEFT's gate (one number a layer); `per-head` the paper's. */
  readonly gateSharing: "scalar" | "per-head";
  /** `none` multiplies by the raw gate (PEFT, litgpt); `tanh` squashes it first (the authors' training code). */
  readonly gateActivation: "none" | "tanh";
}

interface Setting<Value extends string> {
  /** PEFT's value comes first: it is the default, and what a file means that does not say it. */
  readonly values: readonly [Value, ...Value[]];
  /** Key of the metadata of an adapter file. */
  readonly fileKey: string;
  /** Said if any setting is not PEFT's, so that a file which lost it is noticed; others only if they differ. */
  readonly isAlwaysSaid?: boolean;
}

/** All settings: what a config may give, and how adapter files say it. */
export const adapterSettings: { readonly [Name in keyof AdapterSettings]: Setting<AdapterSettings[Name]> } = {
  gateSharing: { values: ["scalar", "per-head"], fileKey: "zerogate.gate_sharing", isAlwaysSaid: true },
  gateActivation: { values: ["none", "tanh"], fileKey: "zerogate.gate_activation", isAlwaysSaid: true },
};

type Key = keyof AdapterSettings;

const rows = Object.entries(adapterSettings) as [Key, Setting<string>][];

/**
 * Picks the settings among the fields of anything, those of PEFT for what it lacks.
 *
 * @example
 * settingsOf({ gateActivation: "tanh" }); // { "gateSharing": "scalar", "gateActivation": "tanh" }
 */
export function settingsOf(source: { readonly [N in Key]?: AdapterSettings[N] | undefined }): AdapterSettings {
  return filled(rows.map(([name, { values }]) => [name, source[name] ?? values[0]]));
}

/** Whether PEFT has these settings: it computes the same. */
export function isPeft(settings: AdapterSettings): boolean {
  return rows.every(([name, { values }]) => settings[name] === values[0]);
}

/** Keys of an adapter file's metadata that say settings. */
export const settingKeys: readonly string[] = rows.map(([, { fileKey }]) => fileKey);

/** What an adapter file's metadata says of them. */
export function settingsMetadata(settings: AdapterSettings): Record<string, string> {
  const said = rows.filter(([name, { values, isAlwaysSaid }]) => isAlwaysSaid || settings[name] !== values[0]);
  return Object.fromEntries(said.map(([name, { fileKey }]) => [fileKey, settings[name]]));
}

/**
 * The settings that a file's metadata declares; PEFT's if it declares nothing.
 * @throws InputError on a value that is not known, and if some of those that are said together were lost.
 */
export function declaredSettings(metadata: ReadonlyMap<string, string>, path: string): AdapterSettings {
  const problems = rows.flatMap(([, { values, fileKey }]) => {
    const value = metadata.get(fileKey);
    if (value === undefined || values.includes(value)) return [];
    return [`${fileKey} is ${JSON.stringify(value)}, known are ${values.join(" and ")}`];
  });
  const together = rows.filter(([, { isAlwaysSaid }]) => isAlwaysSaid).map(([, { fileKey }]) => fileKey);
  const said = together.filter((key) => metadata.has(key));
  // If one is lost, taking PEFT's for it would be another adapter.
  if (problems.length === 0 && said.length > 0 && said.length < together.length) {
    problems.push(`its metadata has ${said.join(" and ")} alone, the other one was lost`);
  }
  if (problems.length > 0) throw new InputError(`Cannot read the adapter ${path}`, problems);
  return filled(rows.map(([name, { values, fileKey }]) => [name, metadata.get(fileKey) ?? values[0]]));
}

const filled = (values: readonly [Key, string][]) => Object.fromEntries(values) as unknown as AdapterSettings;
