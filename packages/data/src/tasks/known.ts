/** All tasks, and which of them the records of a file are of. */
import { InputError } from "@zerogate/core";
import { type Task, type TaskRecord, valueAt } from "./definition.ts";
import { arcChallenge, arcEasy } from "./definitions/arc.ts";
import { boolQ } from "./definitions/boolq.ts";
import { commonsenseQa } from "./definitions/commonsense_qa.ts";
import { copa } from "./definitions/copa.ts";
import { gsm8k } from "./definitions/gsm8k.ts";
import { hellaSwag } from "./definitions/hellaswag.ts";
import { mmlu } from "./definitions/mmlu.ts";
import { openBookQa } from "./definitions/openbookqa.ts";
import { piqa } from "./definitions/piqa.ts";
import { plainChoices } from "./definitions/plain.ts";
import { scienceQa } from "./definitions/scienceqa.ts";
import { sciQ } from "./definitions/sciq.ts";
import { winoGrande } from "./definitions/winogrande.ts";

const tasks: readonly Task[] = [
  arcChallenge,
  arcEasy,
  boolQ,
  commonsenseQa,
  copa,
  gsm8k,
  hellaSwag,
  mmlu,
  openBookQa,
  piqa,
  scienceQa,
  sciQ,
  winoGrande,
  plainChoices,
];

/** Names of all tasks. */
export const taskNames: readonly string[] = tasks.map(({ name }) => name);

/** Returns the task of this name, or undefined. */
export function taskNamed(name: string): Task | undefined {
  return tasks.find((task) => task.name === name);
}

/**
 * Finds the task that records like this one are of: the one with the most of their fields; of several with the same fields the one
 * that the file is named after.
 *
 * @throws InputError that says which fields tasks have, or how to name one.
 */
export function taskOf(record: TaskRecord, path: string): Task {
  const fitting = tasks.map((task) => ({ task, fields: fieldsIn(task, record) })).filter(({ fields }) => fields > 0);
  const most = Math.max(0, ...fitting.map(({ fields }) => fields));
  const best = fitting.filter(({ fields }) => fields === most).map(({ task }) => task);
  const plainPath = plainName(path);
  const named = best.filter(({ name }) => plainPath.includes(plainName(name)));
  const [found, ...others] = named.length > 0 ? named : best;
  if (found && others.length === 0) return found;
  const attempt = `Cannot tell which task ${path} is of`;
  if (!found) {
    const names = Object.keys(record).slice(0, 12).join(", ") || "none";
    const needed = "a form of your own has question, choices and answer";
    throw new InputError(attempt, `its first record has the fields ${names}, which no task has; ${needed}`);
  }
  const names = [found, ...others].map(({ name }) => name);
  throw new InputError(attempt, `${names.join(", ")} have its fields: name one, --task ${found.name}=${path}`);
}

/** How many fields of a form of the task the record has, 0 if it lacks one. */
function fieldsIn({ forms }: Task, record: TaskRecord): number {
  const whole = forms.filter((form) => form.every((field) => valueAt(record, field) !== undefined));
  return Math.max(0, ...whole.map((form) => form.length));
}

/** Letters and digits of a name, in small letters: `ARC-Easy` and `arc_easy` are the same. */
const plainName = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, "");
