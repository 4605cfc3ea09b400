/** The keys of a run config as command line flags. */

import { type ConfigKey, configKeys, type Field, fields } from "@zerogate/run-config/keys";
import type { Flag } from "./definition.ts";

/** The flags of these keys, with the same words for every command that has them. */
export function configFlagTable<Key extends ConfigKey>(keys: readonly Key[]): Record<Key, Flag> {
  return Object.fromEntries(keys.map((key) => [key, configFlag(key, true)])) as Record<Key, Flag>;
}

/** The same for commands on a run: what is not given stays as the run has it, so no default is shown. */
export function runFlagTable<Key extends ConfigKey>(keys: readonly Key[]): Record<Key, Flag> {
  return Object.fromEntries(keys.map((key) => [key, configFlag(key, false)])) as Record<Key, Flag>;
}

function configFlag(key: ConfigKey, hasDefault: boolean): Flag {
  const { group, argument, description, choices = [], fallback }: Field<unknown> = fields[key];
  const shown = [];
  if (choices.length > 0) shown.push(choices.join(", "));
  // A default that depends on the machine is named in the description; so are those of keys without one.
  if (hasDefault && fallback !== undefined && key !== "workers") shown.push(`default: ${shownDefault(fallback)}`);
  const text = hasDefault ? description : description.replace(/ \(default: [^)]*\)$/, "");
  const about = shown.length === 0 ? text : `${text} (${shown.join("; ")})`;
  return argument === undefined ? { group, about, isNegatable: true } : { group, about, argument };
}

function shownDefault(value: unknown): string {
  return typeof value === "boolean" ? (value ? "on" : "off") : String(value);
}

/** The config flags among all options of a command, which has others as well (`--json`, `--config`). */
export function configFlags(options: Readonly<Record<string, unknown>>): Partial<Record<ConfigKey, unknown>> {
  return Object.fromEntries(configKeys.filter((key) => options[key] !== undefined).map((key) => [key, options[key]]));
}
