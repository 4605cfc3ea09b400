/**
 * Readers of instruction data: Alpaca JSON (an array of `{instruction, input?, output}`) and JSONL (one such object a line).
 * What the file holds decides which of the two it is, not its name. Every problem is named by file, place and field.
 */

import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { hashFile } from "@zerogate/core/node";

export interface InstructionRecord {
  readonly instruction: string;
  /** Empty where the record has none. */
  readonly input: string;
  readonly output: string;
}

export interface DataFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface RecordProblem {
  readonly file: string;
  /** Position in the array of a JSON file, from 0. */
  readonly index?: number;
  /** Line of a JSONL file, from 1. */
  readonly line?: number;
  /** Undefined where the record as a whole is at fault. */
  readonly field?: string;
  readonly found: string;
  readonly expected: string;
}

export interface Dataset {
  readonly records: readonly InstructionRecord[];
  readonly files: readonly DataFile[];
  /** Bad records left out; 0 unless `skipBad`. */
  readonly skipped: number;
  /** The first of what was wrong with them, at most 20. */
  readonly problems: readonly RecordProblem[];
}

export interface ReadOptions {
  /** Leave bad records out and count them, instead of refusing the data. @default false */
  readonly skipBad?: boolean;
}

/** JSON.parse needs the whole text as one string; V8's longest has 2²⁹ − 24 characters. JSONL has no such limit. */
const MAX_JSON_BYTES = 400_000_000;
/** A longer line is not an instruction record, and a file without line breaks must not fill the memory. */
const MAX_LINE_BYTES = 16_000_000;
/** About 250,000 tokens, far beyond any context; byte-pair encoding of an endless text would never come back. */
const MAX_FIELD_CHARACTERS = 1_000_000;
const MAX_LISTED = 20;
/** With the u flag a pair counts as the character that it encodes. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** What one pass over the files collects. */
interface Reading {
  readonly records: InstructionRecord[];
  readonly files: DataFile[];
  readonly problems: RecordProblem[];
  /** Files that cannot be read at all: these are never skipped. */
  readonly broken: string[];
  bad: number;
}

/**
 * Reads all records of the given files, in order; a folder stands for its *.json and *.jsonl files in the order of their names.
 * @throws InputError if a file cannot be read, if a record is bad (the first 20 are listed) unless `skipBad`, or if there is none.
 */
export async function readRecords(
  paths: string | readonly string[],
  { skipBad = false }: ReadOptions = {},
): Promise<Dataset> {
  const reading: Reading = { records: [], files: [], problems: [], broken: [], bad: 0 };
  for (const path of await listDataFiles(paths)) {
    try {
      await ((await startsWithBracket(path)) ? readJson(path, reading) : readJsonl(path, reading));
    } catch (error) {
      reading.broken.push(`${path}: ${(error as Error).message}`);
    }
  }
  const { records, files, problems, broken, bad } = reading;
  if (broken.length > 0) throw new InputError("Cannot read the data", broken);
  if (bad > 0 && !skipBad) {
    const more = bad > problems.length ? [`and ${bad - problems.length} more`] : [];
    const attempt = `Cannot use ${bad} of ${bad + records.length} records (skip bad records to leave such out)`;
    throw new InputError(attempt, [...problems.map(describeProblem), ...more]);
  }
  if (records.length === 0) {
    const names = files.map(({ path }) => path).join(", ");
    throw new InputError(
      "Cannot use the data",
      `${names}: no usable record, at least 1 is needed (${bad} bad ones were skipped)`,
    );
  }
  return { records, files, skipped: bad, problems };
}

/** The files that `paths` stand for. @throws InputError listing every path that does not exist or holds no data file. */
export async function listDataFiles(paths: string | readonly string[]): Promise<string[]> {
  const files: string[] = [];
  const problems: string[] = [];
  for (const path of typeof paths === "string" ? [paths] : paths) {
    const info = await stat(path).catch((error: Error) => error);
    if (info instanceof Error) problems.push(`${path}: ${info.message}`);
    else if (!info.isDirectory()) files.push(path);
    else {
      const names = (await readdir(path)).filter((name) => /\.(json|jsonl)$/i.test(name)).toSorted();
      if (names.length === 0) problems.push(`${path}: a folder without *.json or *.jsonl, at least one is needed`);
      files.push(...names.map((name) => join(path, name)));
    }
  }
  if (files.length + problems.length === 0) problems.push("no path was given, at least 1 is needed");
  if (problems.length > 0) throw new InputError("Cannot read the data", problems);
  return files;
}

/** Size and SHA-256 of a file. */
export async function hashDataFile(path: string): Promise<DataFile> {
  return { path, bytes: (await stat(path)).size, sha256: await hashFile(path) };
}

/** One line for a person: `data.jsonl, line 3, field "output": found an empty text, expected a text`. */
export function describeProblem({ file, index, line, field, found, expected }: RecordProblem): string {
  const place = line === undefined ? `record ${index}` : `line ${line}`;
  return `${file}, ${place}${field === undefined ? "" : `, field "${field}"`}: found ${found}, expected ${expected}`;
}

async function startsWithBracket(path: string): Promise<boolean> {
  const handle = await open(path);
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(4096), 0, 4096, 0);
    return buffer.toString("utf8", 0, bytesRead).trimStart().startsWith("["); // trimStart takes a byte order mark too
  } finally {
    await handle.close();
  }
}

async function readJson(path: string, reading: Reading): Promise<void> {
  const { size } = await stat(path);
  if (size > MAX_JSON_BYTES)
    throw new Error(`a JSON array of ${size} bytes, at most ${MAX_JSON_BYTES} are allowed: use JSONL`);
  const bytes = await readFile(path);
  reading.files.push({ path, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") });
  if (!isUtf8(bytes)) throw new Error(`line ${firstLineNotUtf8(bytes)} is not UTF-8, save the file as UTF-8`);
  let items: unknown[];
  try {
    items = JSON.parse(new TextDecoder().decode(bytes)) as unknown[]; // begins with a bracket, so an array
  } catch (cause) {
    throw new Error(`not JSON (${(cause as Error).message}), an array of records is needed`, { cause });
  }
  for (const [index, item] of items.entries()) addRecord(item, { file: path, index }, reading);
}

async function readJsonl(path: string, reading: Reading): Promise<void> {
  const hash = createHash("sha256");
  let bytes = 0;
  let line = 0;
  let held: Buffer[] = [];
  let heldBytes = 0;
  const endLine = (): void => {
    line++;
    addLine(Buffer.concat(held), { file: path, line }, reading);
    held = [];
    heldBytes = 0;
  };
  for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
    hash.update(piece);
    bytes += piece.length;
    let begin = 0;
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, begin)) {
      held.push(piece.subarray(begin, end));
      endLine();
      begin = end + 1;
    }
    held.push(piece.subarray(begin));
    heldBytes += piece.length - begin;
    if (heldBytes > MAX_LINE_BYTES)
      throw new Error(`line ${line + 1} is longer than ${MAX_LINE_BYTES} bytes, one record a line is needed`);
  }
  endLine();
  reading.files.push({ path, bytes, sha256: hash.digest("hex") });
}

function addLine(bytes: Buffer, place: { readonly file: string; readonly line: number }, reading: Reading): void {
  if (!isUtf8(bytes)) {
    addProblem({ ...place, found: "bytes that are not UTF-8", expected: "UTF-8" }, reading);
    return;
  }
  const text = new TextDecoder().decode(bytes).trim();
  if (text === "") return;
  let item: unknown;
  try {
    item = JSON.parse(text);
  } catch {
    addProblem({ ...place, found: `${quote(text)}, which is not JSON`, expected: "one object a line" }, reading);
    return;
  }
  addRecord(item, place, reading);
}

/** An empty output is an answer too (end at once): the original Alpaca file has 28, and its authors train them. */
const expected = {
  instruction: "a text that is not empty",
  input: "a text or nothing",
  output: "a text",
} as const;

type Place = Pick<RecordProblem, "file" | "index" | "line">;

function addRecord(item: unknown, place: Place, reading: Reading): void {
  if (typeof item !== "object" || item === null || Array.isArray(item)) {
    addProblem({ ...place, found: describe(item), expected: "an object with instruction and output" }, reading);
    return;
  }
  const { instruction, input = "", output } = item as Record<string, unknown>;
  const record = { instruction, input: input ?? "", output }; // some exporters write null for "no input"
  for (const [field, value] of Object.entries(record)) {
    if (typeof value !== "string" || (field === "instruction" && value.trim() === "")) {
      addProblem(
        { ...place, field, found: describe(value), expected: expected[field as keyof typeof record] },
        reading,
      );
      return;
    }
    if (value.length > MAX_FIELD_CHARACTERS) {
      addProblem(
        { ...place, field, found: `${value.length} characters`, expected: `at most ${MAX_FIELD_CHARACTERS}` },
        reading,
      );
      return;
    }
    if (LONE_SURROGATE.test(value)) {
      addProblem(
        { ...place, field, found: "half of a surrogate pair (\\ud800 … \\udfff)", expected: "whole characters" },
        reading,
      );
      return;
    }
  }
  reading.records.push(record as InstructionRecord);
}

function addProblem(problem: RecordProblem, reading: Reading): void {
  reading.bad++;
  if (reading.problems.length < MAX_LISTED) reading.problems.push(problem);
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (typeof value === "string") return value === "" ? "an empty text" : `the text ${quote(value)}`;
  return Array.isArray(value) ? "an array" : `a value of type ${typeof value}`;
}

/** Short, and with control characters made visible: what a data file says must not drive a terminal. */
function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

function firstLineNotUtf8(bytes: Buffer): number {
  let line = 1;
  for (let begin = 0; begin <= bytes.length; line++) {
    const end = bytes.indexOf(10, begin);
    if (end < 0 || !isUtf8(bytes.subarray(begin, end))) break;
    begin = end + 1;
  }
  return line;
}
