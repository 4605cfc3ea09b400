/** Reads a config file: YAML, which includes JSON. */
import { createRequire } from "node:module";
import { InputError } from "@zerogate/core";
import { readRegularFileSync, reason } from "@zerogate/core/node";
import type { Document } from "yaml";

/** A config is a page of text; more is a data file named by mistake. */
const MAX_BYTES = 1_000_000;

export interface ConfigFile {
  readonly values: ReadonlyMap<string, unknown>;
  /** Line of each key, counted from 1. */
  readonly lines: ReadonlyMap<string, number>;
}

/**
 * The keys and values of a config file, unchecked. No tag or alias runs code, and aliases cannot blow up (`yaml` stops at 100).
 *
 * @throws InputError if the file cannot be read or is not one YAML mapping, with every syntax error and its line.
 */
export function readConfigFile(path: string): ConfigFile {
  const attempt = `Cannot read the config ${path}`;
  const text = readText(path, attempt);
  const { isMap, isScalar, LineCounter, parseDocument } = loadYaml();
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  if (document.errors.length > 0) {
    const problems = document.errors.map((error) => `line ${counter.linePos(error.pos[0]).line}: ${error.message}`);
    throw new InputError(attempt, problems);
  }
  const values = new Map<string, unknown>();
  const lines = new Map<string, number>();
  if (document.contents === null) return { values, lines };
  if (!isMap(document.contents)) throw new InputError(attempt, "it is no mapping, expected lines like “batchSize: 32”");
  const problems: string[] = [];
  for (const { key, value } of document.contents.items) {
    const name = isScalar(key) ? String(key.value) : String(key);
    const line = isScalar(key) && key.range ? counter.linePos(key.range[0]).line : 1;
    lines.set(name, line);
    try {
      values.set(name, toPlain(value, document));
    } catch (error) {
      problems.push(`line ${line}: ${(error as Error).message}`);
    }
  }
  if (problems.length > 0) throw new InputError(attempt, problems);
  return { values, lines };
}

/** Loads the parser once a file is read: most runs are made of flags, and it is seventy modules. */
const loadYaml = () => createRequire(import.meta.url)("yaml") as typeof import("yaml");

function toPlain(value: unknown, document: Document): unknown {
  if (value === null || typeof value !== "object" || !("toJS" in value)) return value;
  const plain = (value as { toJS(document: unknown, options: object): unknown }).toJS(document, { maxAliasCount: 100 });
  try {
    JSON.stringify(plain);
  } catch (cause) {
    throw new Error("a value contains itself, or nests too deep, no key takes such", { cause });
  }
  return plain;
}

function readText(path: string, attempt: string): string {
  try {
    return readRegularFileSync(path, MAX_BYTES).toString("utf8");
  } catch (cause) {
    throw new InputError(attempt, cause instanceof InputError ? cause.problems : reason(cause), { cause });
  }
}
