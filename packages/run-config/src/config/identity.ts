/** Whether two configs train the same bits. */
import { createHash } from "node:crypto";
import { InputError } from "@zerogate/core";
import { parseStrictJson } from "@zerogate/core/formats";
import { configKeys } from "./fields.ts";
import { isAsBeforeAdded } from "./stored_config.ts";
import { type ConfigKey, safeToChange, type TrainConfig } from "./train_config.ts";

const identityKeys: readonly ConfigKey[] = configKeys.filter((key) => !safeToChange.includes(key));

/** The keys in which `next` would train other bits than `before`; a resume may change all others. */
export function unsafeChanges(before: TrainConfig, next: TrainConfig): ConfigKey[] {
  return identityKeys.filter((key) => identityValue(before, key) !== identityValue(next, key));
}

/** Returns the keys that differ and do not decide bits. */
export function safeChanges(before: TrainConfig, next: TrainConfig): ConfigKey[] {
  return safeToChange.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(next[key]));
}

/**
 * SHA-256 over all values that decide bits, hexadecimal. A key that was added later counts only if it says another thing
 * than what versions without it did: the hash of an older run stays what it was.
 */
export function configHash(config: TrainConfig): string {
  const values = identityKeys
    .map((key) => [key, identityValue(config, key)] as const)
    .filter(([key, value]) => !isAsBeforeAdded(key, value));
  return createHash("sha256").update(JSON.stringify(values)).digest("hex");
}

/**
 * The config as it was before these changes, the last of them first. A key that does not have the value which a change gave
 * it keeps its own, and so does what is no key that decides bits.
 */
export function undoChanges(
  config: TrainConfig,
  changes: readonly { readonly field: string; readonly was: string; readonly is: string }[],
): TrainConfig {
  let before = config;
  for (const { field, was, is } of changes.toReversed()) {
    const key = identityKeys.find((name) => name === field);
    if (key === undefined) continue;
    if (hasValue(before, key, is)) before = { ...before, [key]: earlierValue(field, was) };
  }
  return before;
}

/** Whether every key that decides bits has the value which the last of these changes gave it. */
export function hasChanges(
  config: TrainConfig,
  changes: readonly { readonly field: string; readonly is: string }[],
): boolean {
  const last = new Map(changes.map(({ field, is }) => [field, is]));
  return identityKeys.every((key) => hasValue(config, key, last.get(key) ?? showValue(config[key])));
}

/** Compares as `identityValue` does, by what changes record. */
function hasValue(config: TrainConfig, key: ConfigKey, shown: string): boolean {
  const identityOf = (text: string) => (key === "template" && !['"alpaca"', '"plain"'].includes(text) ? "file" : text);
  return identityOf(showValue(config[key])) === identityOf(shown);
}

const NOT_SET = "not set";

function earlierValue(field: string, was: string): unknown {
  if (was === NOT_SET) return undefined;
  try {
    return parseStrictJson(was);
  } catch (cause) {
    const problem = `${field} was ${JSON.stringify(was.slice(0, 100))}, which is not JSON: the list of them is damaged`;
    throw new InputError("Cannot undo accepted changes", problem, { cause });
  }
}

/** Writes the value of a key as changes record it. */
export function showValue(value: unknown): string {
  return JSON.stringify(value) ?? NOT_SET;
}

/** A template file may move: what it says is part of the token hash. */
function identityValue(config: TrainConfig, key: ConfigKey): unknown {
  const value = config[key] ?? null;
  return key === "template" && value !== "alpaca" && value !== "plain" ? "file" : value;
}
