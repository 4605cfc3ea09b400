/** What is wrong with records: the same fault of many records of a file is one problem, with the places of the first of them. */
import { InputError } from "@zerogate/core";

/** Where a record stands. */
export interface Place {
  readonly file: string;
  /** Position in the list of a JSON file, from 0. */
  readonly index?: number;
  /** Line of a JSONL file, from 1. */
  readonly line?: number;
}

export interface RecordFault {
  /** Undefined if the record as a whole is at fault. */
  readonly field?: string;
  readonly found: string;
  readonly expected: string;
  /** Faults of one kind are one problem, even if their values differ. @default `found` */
  readonly kind?: string;
}

/** `index` or `line` is that of the first record with this problem. */
export interface RecordProblem extends Place, Omit<RecordFault, "kind"> {
  /** Indices or lines of the first records with this problem, at most 5. */
  readonly places: readonly number[];
  /** Records with this problem. */
  readonly count: number;
}

/** The problems of some files, and how many records have one. */
export interface ProblemList {
  readonly byKind: Map<string, RecordProblem>;
  bad: number;
}

/** Problems that are listed, of all files. */
export const MAX_LISTED = 20;
const MAX_PLACES = 5;

export const noProblems = (): ProblemList => ({ byKind: new Map(), bad: 0 });

export function addProblem(list: ProblemList, place: Place, { kind, ...fault }: RecordFault): void {
  list.bad++;
  const key = JSON.stringify([place.file, fault.field, kind ?? fault.found]);
  const at = place.line ?? place.index ?? 0;
  const known = list.byKind.get(key);
  if (known) {
    const places = known.places.length < MAX_PLACES ? [...known.places, at] : known.places;
    const found = known.found === fault.found || known.count > 1 ? known.found : `for example ${known.found}`;
    list.byKind.set(key, { ...known, found, places, count: known.count + 1 });
  } else if (list.byKind.size < MAX_LISTED) {
    list.byKind.set(key, { ...place, ...fault, places: [at], count: 1 });
  }
}

/** The error that refuses data with bad records; `total` counts all records. */
export function badRecords(list: ProblemList, total: number): InputError {
  const attempt = `Cannot use ${list.bad} of ${total} records (skip bad records to leave such out)`;
  return new InputError(attempt, describeProblems(list));
}

/** One line for each problem, and one for those that are too many to be listed. */
export function describeProblems({ byKind, bad }: ProblemList): string[] {
  const problems = [...byKind.values()];
  const more = bad - problems.reduce((sum, { count }) => sum + count, 0);
  return [...problems.map(describeProblem), ...(more > 0 ? [`and ${more} more`] : [])];
}

/** One line for a person: `data.jsonl, lines 3, 7 and 12, field "output": found nothing, expected a text`. */
export function describeProblem({ file, line, field, found, expected, places, count }: RecordProblem): string {
  const unit = `${line === undefined ? "record" : "line"}${count > 1 ? "s" : ""}`;
  const rest = count - places.length;
  const shown = rest > 0 ? [...places, `${rest} more`] : places;
  const place = shown.length < 2 ? `${shown[0]}` : `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}`;
  return `${file}, ${unit} ${place}${field === undefined ? "" : `, field "${field}"`}: found ${found}, expected ${expected}`;
}

/** Short, and with control characters made visible: what a data file says must not drive a terminal. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

const MAX_NAMES = 12;

/** Names of fields in a row. */
export function listed(names: readonly string[]): string {
  return withRest(names.map((name) => (/^[\w .-]{1,40}$/.test(name) ? name : quote(name))));
}

/** The first of some names, and how many more there are. */
export function withRest(names: readonly string[]): string {
  const rest = names.length - MAX_NAMES;
  return rest > 0 ? `${names.slice(0, MAX_NAMES).join(", ")} and ${rest} more` : names.join(", ");
}
