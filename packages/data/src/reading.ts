/** What one pass over data files collects, record by record. */
import type { DataFile } from "./data_files.ts";
import { type InstructionRecord, isObject, parseRecord, unreadFields } from "./record.ts";
import { addProblem, noProblems, type Place, type ProblemList } from "./record_problems.ts";

/** A field that some records hold and nobody reads. */
export interface UnreadField {
  readonly name: string;
  /** Records in which it holds something. */
  readonly records: number;
}

export interface Reading {
  readonly records: InstructionRecord[];
  readonly files: DataFile[];
  readonly problems: ProblemList;
  /** Records by the name of a field that they hold and nobody reads. */
  readonly unread: Map<string, number>;
  /** Problems of files that cannot be read: these are never skipped. */
  readonly broken: string[];
}

/** What the records of one file look like, in case that none of them is usable. */
export interface FileShape {
  readonly path: string;
  items: number;
  /** Objects without the fields of a record. */
  foreign: number;
  first: Readonly<Record<string, unknown>> | undefined;
  readonly keys: Set<string>;
  /** Whether the records stand in one JSON list. */
  isList: boolean;
}

/** More names of fields than this are not counted one by one. */
const MAX_NAMES = 1000;
const MAX_NAME_CHARACTERS = 100;

export function newReading(): Reading {
  return { records: [], files: [], problems: noProblems(), unread: new Map(), broken: [] };
}

export function newShape(path: string): FileShape {
  return { path, items: 0, foreign: 0, first: undefined, keys: new Set(), isList: false };
}

/** Adds what a file holds at a place: a record, or a problem. */
export function addItem(item: unknown, place: Place, reading: Reading, shape: FileShape): void {
  shape.items++;
  const parsed = parseRecord(item);
  if ("record" in parsed) {
    reading.records.push(parsed.record);
    for (const field of unreadFields(item as Readonly<Record<string, unknown>>)) {
      const name = field.slice(0, MAX_NAME_CHARACTERS);
      const count = reading.unread.get(name);
      if (count !== undefined || reading.unread.size < MAX_NAMES) reading.unread.set(name, (count ?? 0) + 1);
    }
    return;
  }
  addProblem(reading.problems, place, parsed.fault);
  if (!isObject(item) || !lacksFields(item)) return;
  shape.foreign++;
  shape.first ??= item;
  for (const key of Object.keys(item)) if (shape.keys.size < MAX_NAMES) shape.keys.add(key);
}

/** The most frequent first. */
export function unreadOf({ unread }: Reading): UnreadField[] {
  const fields = [...unread].map(([name, records]) => ({ name, records }));
  return fields.toSorted((a, b) => b.records - a.records || (a.name < b.name ? -1 : 1));
}

/** A field with another value than a text is a bad record, unless it holds a column of a table. */
function lacksFields({ instruction, output }: Readonly<Record<string, unknown>>): boolean {
  return instruction === undefined || output === undefined || (isColumn(instruction) && isColumn(output));
}

const isColumn = (value: unknown): boolean => Array.isArray(value) || isObject(value);
