/** One instruction record, checked: `{instruction, input?, output}`. */
import { nonFinite } from "./json_values.ts";
import { quote, type RecordFault } from "./record_problems.ts";

/** One record of instruction data, as Alpaca has it. */
export interface InstructionRecord {
  readonly instruction: string;
  /** Empty if the record has none. */
  readonly input: string;
  readonly output: string;
}

/** About 250,000 tokens, far beyond any context; byte-pair encoding of an endless text would never come back. */
const MAX_FIELD_CHARACTERS = 1_000_000;
/** With the u flag a pair counts as the character that it encodes. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** An empty output is an answer too (end at once): the original Alpaca file has 28, and its authors train them. */
const expected = {
  instruction: "a text that is not empty",
  input: "a text or nothing",
  output: "a text",
} as const;

/** The fields of which an instruction record is made. */
export const instructionFields: readonly string[] = Object.keys(expected);

/** Checks what a file holds as a record. Some exporters write null for "no input". */
export function parseRecord(item: unknown): { readonly record: InstructionRecord } | { readonly fault: RecordFault } {
  if (!isObject(item)) return { fault: { found: describe(item), expected: "an object with instruction and output" } };
  const { instruction, input = "", output } = item;
  const record = { instruction, input: input ?? "", output };
  for (const [field, value] of Object.entries(record)) {
    const fault = checkText(field as keyof typeof record, value);
    if (fault) return { fault: { field, ...fault } };
  }
  return { record: record as InstructionRecord };
}

/** An object of JSON, in which any name may be a key. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && nonFinite(value) === undefined;
}

/** The fields of a record that hold something and are not read. */
export function unreadFields(item: Readonly<Record<string, unknown>>, read: readonly string[]): string[] {
  return Object.keys(item).filter((name) => !read.includes(name) && !isEmpty(item[name]));
}

function checkText(field: keyof typeof expected, value: unknown): RecordFault | undefined {
  if (typeof value !== "string") return { found: describe(value), expected: neededInstead(field, value) };
  if (field === "instruction" && value.trim() === "") {
    return { kind: "blank", found: describe(value), expected: expected[field] };
  }
  if (value.length > MAX_FIELD_CHARACTERS) {
    return { kind: "long", found: `${value.length} characters`, expected: `at most ${MAX_FIELD_CHARACTERS}` };
  }
  if (LONE_SURROGATE.test(value)) {
    return { found: "half of a surrogate pair (\\ud800 … \\udfff)", expected: "whole characters" };
  }
  return undefined;
}

/** Python's json writes NaN for the empty cells of a table. */
function neededInstead(field: keyof typeof expected, value: unknown): string {
  if (nonFinite(value) === undefined) return expected[field];
  return `${expected[field]}${field === "input" ? ' (write null or "" where a cell was empty)' : ""}`;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || nonFinite(value) !== undefined) return true;
  if (typeof value === "string") return value.trim() === "";
  return typeof value === "object" && Object.keys(value).length === 0;
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  const number = nonFinite(value);
  if (number !== undefined) return `${number}, which is not JSON`;
  if (typeof value === "string") return value === "" ? "an empty text" : `the text ${quote(value)}`;
  if (value instanceof Uint8Array) return "bytes that are not UTF-8";
  return Array.isArray(value) ? "an array" : `a value of type ${typeof value}`;
}
