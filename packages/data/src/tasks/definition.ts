/** What a task is: how its records read, and how its questions are put, as lm-evaluation-harness defines it. */
import { parseJson } from "../json_values.ts";
import { quote, type RecordFault } from "../record_problems.ts";

/** A record of a data set. */
export type TaskRecord = Readonly<Record<string, unknown>>;

/** A question as it is asked, once for each choice: what is scored is `answers[c]` after `prompts[c]`. */
export interface Question {
  readonly prompts: readonly string[];
  readonly answers: readonly string[];
  /** The place of the right answer. */
  readonly gold: number;
  /** The part of the task that it belongs to, which has examples and a description of its own. @default none */
  readonly section?: string;
}

/** A question whose answer is written. */
export interface OpenQuestion {
  readonly prompt: string;
  readonly target: string;
}

/** How examples are chosen: `first` takes those at the beginning, `random` draws anew for each question. */
type ShotRule = "first" | "random";

interface AnyTask {
  /** As lm-evaluation-harness calls it. */
  readonly name: string;
  /** The data set on the Hub. */
  readonly dataset: string;
  /** Fields that its records have, in one of the forms in which they are published; `choices.text` is a field of a field. */
  readonly forms: readonly (readonly string[])[];
  readonly shots: {
    /** Examples unless others are asked for. */
    readonly count: number;
    readonly rule: ShotRule;
    /** The split that examples come from. */
    readonly split: string;
    /** Draws one more, in case that the question itself is drawn: so the harness does for tasks without a test split. */
    readonly sparesOwn: boolean;
  };
}

/** A task of choices. */
export interface ChoiceTask extends AnyTask {
  readonly kind: "choices";
  /** `acc_norm` divides by the length of answers in characters. */
  readonly metrics: readonly ("acc" | "acc_norm")[];
  /** What stands in front of all, for a section. @default nothing */
  readonly describe?: (section: string) => string;
  /** @throws BadField for a record that cannot be asked. */
  readonly read: (record: TaskRecord) => Question;
}

/** A task whose answers are written. */
export interface OpenTask extends AnyTask {
  readonly kind: "open";
  /** Texts that end an answer. */
  readonly stops: readonly string[];
  readonly maxNewTokens: number;
  readonly metrics: readonly ("strict" | "flexible")[];
  /** @throws BadField for a record that cannot be asked. */
  readonly read: (record: TaskRecord) => OpenQuestion;
}

/** A task of either kind. */
export type Task = ChoiceTask | OpenTask;

/** A field of a record that is not as its task needs it. */
export class BadField extends Error {
  readonly fault: RecordFault;
  constructor(field: string, found: unknown, expected: string) {
    super(expected);
    this.fault = { field, found: describeValue(found), expected };
  }
}

/** Returns a field, or a field of a field: `choices.text`. */
export function valueAt(record: TaskRecord, path: string): unknown {
  let value: unknown = record;
  for (const key of path.split(".")) {
    value = unpacked(value);
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as TaskRecord)[key];
  }
  return value;
}

/** Lists and objects of a table stand in its cells as JSON. */
function unpacked(value: unknown): unknown {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  try {
    return parseJson(value);
  } catch {
    return value;
  }
}

export function textAt(record: TaskRecord, path: string): string {
  const value = valueAt(record, path);
  if (typeof value !== "string") throw new BadField(path, value, "a text");
  return value;
}

/** @param count how many there have to be; undefined: two or more */
export function textsAt(record: TaskRecord, path: string, count?: number): readonly string[] {
  const value = unpacked(valueAt(record, path));
  const expected = `a list of ${count ?? "two or more"} texts`;
  if (!Array.isArray(value) || !value.every((one) => typeof one === "string"))
    throw new BadField(path, value, expected);
  if (count === undefined ? value.length < 2 : value.length !== count) throw new BadField(path, value, expected);
  return value;
}

/** A place among `count` choices, as a number or as the text of one. */
export function placeAt(record: TaskRecord, path: string, count: number, first = 0): number {
  const value = valueAt(record, path);
  const place = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof place === "number" && Number.isInteger(place) && place >= first && place < first + count) {
    return place - first;
  }
  throw new BadField(path, value, `the right choice, a number from ${first} to ${first + count - 1}`);
}

/** The place of a label among the labels of choices. */
export function labelAt(record: TaskRecord, path: string, labels: readonly string[]): number {
  const value = valueAt(record, path);
  const place = typeof value === "string" ? labels.indexOf(value) : -1;
  if (place < 0) throw new BadField(path, value, `the label of the right choice, one of ${labels.join(", ")}`);
  return place;
}

/** Choices after one prompt. */
export function ask(prompt: string, answers: readonly string[], gold: number): Question {
  return { prompts: answers.map(() => prompt), answers, gold };
}

/** Choices under letters, which are answered by their letter. */
export function askLetters(question: string, choices: readonly string[], gold: number): Question {
  const letters = choices.map((_, c) => String.fromCharCode(65 + c));
  const lines = choices.map((choice, c) => `${letters[c]}. ${choice}\n`);
  return ask(`${question}\n${lines.join("")}Answer:`, letters, gold);
}

function describeValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return value === "" ? "an empty text" : `the text ${quote(value)}`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === "object" && value !== null ? "an object" : JSON.stringify(value);
}
