/** The problems of ScienceQA as it is published: `problems.json`, `pid_splits.json`, and captions of its images. */
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { readRegularFile, reason } from "@zerogate/core/node";
import { parseJson } from "../json_values.ts";
import { isObject } from "../record.ts";
import { listed, quote, type RecordFault } from "../record_problems.ts";

/** One question with its choices. */
export interface ScienceProblem {
  /** Its name in problems.json, a number. */
  readonly id: string;
  readonly question: string;
  /** 2 to 5 of them. */
  readonly choices: readonly string[];
  /** Index of the right one. */
  readonly answer: number;
  /** Empty if there is none. */
  readonly hint: string;
  /** Below the folder of images; undefined if there is none. */
  readonly image: string | undefined;
  /** `grade1` to `grade12`. */
  readonly grade: string;
  readonly subject: string;
  readonly skill: string;
  readonly lecture: string;
  readonly solution: string;
}

/** A split of a ScienceQA folder. */
export interface ScienceSplit {
  /** In the order of pid_splits.json; those that can be read. */
  readonly problems: readonly ScienceProblem[];
  readonly faults: readonly { readonly id: string; readonly fault: RecordFault }[];
}

export const PROBLEMS = "problems.json";
export const SPLITS = "pid_splits.json";
export const CAPTIONS = "captions.json";
const MAX_BYTES = 400_000_000;
const MIN_CHOICES = 2;
const MAX_CHOICES = 5;
const texts = ["question", "hint", "grade", "subject", "skill", "lecture", "solution"] as const;
const needed: ReadonlySet<string> = new Set(["question", "grade", "subject"]);

/** Returns the names of a ScienceQA folder's splits. @throws InputError if pid_splits.json cannot be read. */
export async function listScienceSplits(folder: string): Promise<string[]> {
  return Object.keys(await readObject(join(folder, SPLITS)));
}

/**
 * Reads a split of a ScienceQA folder.
 * @throws InputError if a file cannot be read, or there is no such split.
 */
export async function readScienceSplit(folder: string, split: string): Promise<ScienceSplit> {
  const [problems, splits] = [await readObject(join(folder, PROBLEMS)), await readObject(join(folder, SPLITS))];
  const ids = Object.hasOwn(splits, split) ? splits[split] : undefined;
  if (!Array.isArray(ids) || !ids.every((id): id is string => typeof id === "string")) {
    const names = listed(Object.keys(splits));
    throw new InputError(`Cannot read ${folder}`, `${SPLITS} has no split ${quote(split)}, it has: ${names}`);
  }
  const found: ScienceProblem[] = [];
  const faults: { id: string; fault: RecordFault }[] = [];
  for (const id of ids) {
    const parsed = parseProblem(id, Object.hasOwn(problems, id) ? problems[id] : undefined, split);
    if ("problem" in parsed) found.push(parsed.problem);
    else faults.push({ id, fault: parsed.fault });
  }
  return { problems: found, faults };
}

/** Reads captions of images by the problems' ids. @throws InputError if the file cannot be read. */
export async function readScienceCaptions(folder: string): Promise<ReadonlyMap<string, string>> {
  const file = join(folder, CAPTIONS);
  const { captions } = await readObject(file);
  if (!isObject(captions)) throw new InputError(`Cannot read ${file}`, "an object with captions is needed");
  return new Map(Object.entries(captions).filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}

async function readObject(file: string): Promise<Readonly<Record<string, unknown>>> {
  let value: unknown;
  try {
    value = parseJson(new TextDecoder("utf-8", { fatal: true }).decode(await readRegularFile(file, MAX_BYTES)));
  } catch (cause) {
    const problem = cause instanceof InputError ? cause.problems.join() : reason(cause);
    throw new InputError(`Cannot read ${file}`, problem, { cause });
  }
  if (!isObject(value)) throw new InputError(`Cannot read ${file}`, "a JSON object is needed");
  return value;
}

function parseProblem(
  id: string,
  item: unknown,
  split: string,
): { readonly problem: ScienceProblem } | { readonly fault: RecordFault } {
  const fault = (field: string, found: string, expected: string) => ({ fault: { field, found, expected } });
  if (!isObject(item)) return { fault: { found: "nothing", expected: `a problem with the id ${quote(id)}` } };
  for (const name of texts) {
    const value = item[name];
    if (value === undefined && !needed.has(name)) continue;
    if (typeof value !== "string") return fault(name, `a value of type ${typeof value}`, "a text");
    if (needed.has(name) && value.trim() === "") return fault(name, "an empty text", "a text that is not empty");
  }
  const { choices, answer, image } = item;
  if (!Array.isArray(choices) || !choices.every((choice) => typeof choice === "string")) {
    return fault("choices", `a value of type ${typeof choices}`, "a list of texts");
  }
  if (choices.length < MIN_CHOICES || choices.length > MAX_CHOICES) {
    return fault("choices", `${choices.length} choices`, `${MIN_CHOICES} to ${MAX_CHOICES}`);
  }
  if (!Number.isSafeInteger(answer) || !((answer as number) >= 0 && (answer as number) < choices.length)) {
    return fault("answer", quote(String(answer)), `the index of one of ${choices.length} choices`);
  }
  if (image !== undefined && image !== null && typeof image !== "string") {
    return fault("image", `a value of type ${typeof image}`, "the name of a file, or nothing");
  }
  const own = typeof item["split"] === "string" ? item["split"] : split;
  const text = (name: (typeof texts)[number]) => (typeof item[name] === "string" ? item[name] : "");
  const problem = {
    id,
    question: text("question"),
    choices,
    answer: answer as number,
    hint: text("hint"),
    image: image ? `${own}/${id}/${image}` : undefined,
    grade: text("grade"),
    subject: text("subject"),
    skill: text("skill"),
    lecture: text("lecture"),
    solution: text("solution"),
  };
  return { problem };
}
