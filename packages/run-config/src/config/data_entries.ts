/** Entries of `data`: files, and parts of a mixture, as flags (`FILE=WEIGHT`) and config files (`{path, weight, cap, …}`) write them. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { FieldRule } from "@zerogate/data";

/** A file of records, or a folder of them, as a part of a mixture. */
export interface MixtureEntry {
  readonly path: string;
  /** Its share of an epoch is this over the sum of all weights. Default, of all or none: what it has. */
  readonly weight?: number | undefined;
  /** Samples of it that an epoch holds at most. Default: no limit. */
  readonly cap?: number | undefined;
  /** Which of its columns are the fields of a record. Default: the key `fields`. */
  readonly fields?: FieldRule | undefined;
  /** How its records are written. Default: the key `template`. */
  readonly template?: string | undefined;
}

/** What `data` lists. */
export type DataEntry = string | MixtureEntry;

/** The paths that entries of `data` name. */
export const dataPaths = (data: readonly DataEntry[]): string[] =>
  data.map((entry) => (typeof entry === "string" ? entry : entry.path));

/** Names of templates, which are no paths. */
type IsWord = (template: string) => boolean;

/**
 * Returns entries with whole paths. What is no entry stays as it is, and is reported as it was typed.
 *
 * @param isTyped whether they are flags, where `FILE=0.7`, `FILE=0.7,cap=1000` and `FILE,cap=1000` are parts of a mixture.
 */
export function placedData(value: unknown, folder: string, isTyped: boolean, isWord: IsWord): unknown {
  if (!Array.isArray(value)) return value;
  return value.map((item: unknown) => {
    if (typeof item === "string") return item === "" ? item : placedText(item, folder, isTyped);
    if (typeof item !== "object" || item === null) return item;
    const { path, template } = item as { readonly path?: unknown; readonly template?: unknown };
    return {
      ...item,
      ...(typeof path === "string" && path !== "" && { path: resolve(folder, path) }),
      ...(typeof template === "string" &&
        template !== "" &&
        !isWord(template) && { template: resolve(folder, template) }),
    };
  });
}

function placedText(text: string, folder: string, isTyped: boolean): unknown {
  const path = resolve(folder, text);
  if (!isTyped || existsSync(path)) return path;
  const [, file = "", weight, cap] = /^(.+?)(?:=([^=,/\\]+))?(?:,cap=([^=,/\\]+))?$/s.exec(text) ?? [];
  if (weight === undefined && cap === undefined) return path;
  // A name with an equals sign is a path, unless what is behind it is a number or what is before it is there.
  if (weight !== undefined && Number.isNaN(Number(weight)) && !existsSync(resolve(folder, file))) return path;
  return {
    path: resolve(folder, file),
    ...(weight !== undefined && { weight: Number(weight) }),
    ...(cap !== undefined && { cap: Number(cap) }),
  };
}

/** What is wrong between entries that are each right. */
export function dataContradictions(data: readonly DataEntry[]): string[] {
  const isWeighed = (entry: DataEntry) => typeof entry !== "string" && entry.weight !== undefined;
  const without = data.filter((entry) => !isWeighed(entry));
  if (without.length === 0 || without.length === data.length) return [];
  const names = without.map((entry) => (typeof entry === "string" ? entry : entry.path));
  return [`data gives a weight to some files and none to ${names.join(", ")}: give all of them one, or none`];
}
