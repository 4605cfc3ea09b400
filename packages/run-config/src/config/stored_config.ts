/**
 * Configs that an earlier version stored. They hold every key that had a default then; a key that is not there has the value
 * of the version that wrote them, never a newer default.
 */
import { InputError } from "@zerogate/core";
import { alternatives, configKeys, fields, schema } from "./fields.ts";
import type { Field } from "./kinds.ts";
import { type ConfigKey, formerNames, type TrainConfig } from "./train_config.ts";

/** It did not store which version it was. */
export const FIRST_VERSION = "0.1.0";

/** Key of `RUN/config.json` beside those of the config. */
export const VERSION_KEY = "zerogate";

/** The default of a key in `version`, by default in this one. */
export function defaultOf(key: ConfigKey, version?: string): unknown {
  const { fallback, earlier = [] }: Field<unknown> = fields[key];
  if (version === undefined) return fallback;
  const then = earlier.find(({ before }) => isBefore(version, before));
  return then === undefined ? fallback : then.value;
}

/** Whether a key was added after 0.1.0 and says what versions without it did. */
export function isAsBeforeAdded(key: ConfigKey, value: unknown): boolean {
  const { since, earlier = [] }: Field<unknown> = fields[key];
  return since !== undefined && value === (earlier[0]?.value ?? null);
}

/**
 * The config that a checkpoint holds, with what its version did for the keys that came later.
 * @throws InputError if it holds something else than a config.
 */
export function completeConfig(stored: Readonly<Record<string, unknown>>, version: string, path: string): TrainConfig {
  const values = { ...stored };
  for (const [name, key] of Object.entries(formerNames)) {
    if (values[name] === undefined || values[key] !== undefined) continue;
    values[key] = values[name];
    delete values[name];
  }
  for (const key of configKeys) {
    const others = alternatives.find((group) => group.includes(key)) ?? [];
    if (values[key] === undefined && !others.some((other) => stored[other] !== undefined)) {
      values[key] = defaultOf(key, version);
    }
  }
  const parsed = schema.safeParse(values);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path: keys, message }) => `${keys.join(".") || "config"}: ${message}`);
  throw new InputError(`Cannot use the config of ${path}`, problems);
}

function isBefore(version: string, other: string): boolean {
  const [a, b] = [version, other].map((text) => text.split(/[.-]/).slice(0, 3).map(Number));
  const at = (a ?? []).findIndex((number, i) => number !== b?.[i]);
  return at !== -1 && (a?.[at] ?? 0) < (b?.[at] ?? 0);
}
