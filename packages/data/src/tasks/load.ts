/** Opens a task: its questions, and the examples that stand before them. */
import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { InputError } from "@zerogate/core";
import { reason } from "@zerogate/core/node";
import type { DataFile } from "../data_files.ts";
import { addProblem, badRecords, noProblems, type ProblemList } from "../record_problems.ts";
import { BadField, type ChoiceTask, type OpenTask, type Task, type TaskRecord } from "./definition.ts";
import { taskNamed, taskNames, taskOf } from "./known.ts";
import { type PlacedRecord, readTaskRecords } from "./read_records.ts";

/** What to open. */
export interface TaskRequest {
  /** A file, as `FILE` or `NAME=FILE`. */
  readonly task: string;
  /** Examples before each question. @default the task's own */
  readonly shots?: number | undefined;
  /** The file that examples come from. @default that of the split for examples, beside the file of the questions */
  readonly shotsFrom?: string | undefined;
  /** Seed of their choice. @default 1234, as lm-evaluation-harness has it */
  readonly shotsSeed?: number | undefined;
  /** Questions of each section, from the first on. @default all */
  readonly limit?: number | undefined;
  /** Leave out records that cannot be asked. @default false */
  readonly skipBad?: boolean | undefined;
}

/** A record, and what is asked of it. */
export interface AskedRecord<Kind extends Task> {
  /** Its number in the file, from 0. */
  readonly doc: number;
  readonly record: TaskRecord;
  readonly question: ReturnType<Kind["read"]>;
}

/** A task with its questions. */
export interface LoadedTask<Kind extends Task = Task> {
  readonly task: Kind;
  readonly questions: readonly AskedRecord<Kind>[];
  /** What examples are chosen from; empty without any. */
  readonly examples: readonly AskedRecord<Kind>[];
  readonly shots: number;
  readonly shotsSeed: number;
  readonly files: readonly DataFile[];
  /** Records left out because they cannot be asked. */
  readonly skipped: number;
}

/** One of either kind. */
export type AnyLoadedTask = LoadedTask<ChoiceTask> | LoadedTask<OpenTask>;

const HARNESS_SEED = 1234;

/**
 * Opens the task of a file. Which task it is, its records say, unless it is named.
 *
 * @throws InputError for a file that cannot be read, records that cannot be asked, and examples that are not there.
 */
export async function loadTask(request: TaskRequest): Promise<AnyLoadedTask> {
  const attempt = `Cannot use the task ${request.task}`;
  const { named, path } = await parseTask(request.task, attempt);
  const problems = noProblems();
  const { records, file } = await readFile(path, problems, attempt);
  const [first] = records;
  if (!first && problems.bad === 0) throw new InputError(attempt, `${path} holds no record, at least 1 is needed`);
  if (!first) throw badRecords(problems, problems.bad);
  const task = named ?? taskOf(first.record, path);
  const read = { ...request, records, problems, file };
  return task.kind === "choices" ? loadAs(task, path, read, attempt) : loadAs(task, path, read, attempt);
}

async function loadAs<Kind extends Task>(
  task: Kind,
  path: string,
  { records, problems, file, ...request }: ReadTask,
  attempt: string,
): Promise<LoadedTask<Kind>> {
  const { shots = task.shots.count, shotsSeed = HARNESS_SEED, limit = Infinity, skipBad = false } = request;
  const all = askedOf(task, records, problems);
  if (problems.bad > 0 && !skipBad) throw badRecords(problems, problems.bad + all.length);
  if (all.length === 0) throw new InputError(attempt, `${path}: no record can be asked, at least 1 is needed`);
  const questions = firstOfSections(all, limit);
  const loaded = { task, questions, shots, shotsSeed, skipped: problems.bad };
  if (shots === 0) return { ...loaded, examples: [], files: [file] };
  const from = await exampleFile(task, path, request.shotsFrom, attempt);
  const bad = noProblems();
  const read = await readFile(from, bad, attempt);
  const examples = askedOf(task, read.records, bad);
  if (bad.bad > 0 && !skipBad) throw badRecords(bad, bad.bad + examples.length);
  checkExamples(loaded, examples, from, attempt);
  return { ...loaded, examples, files: [file, read.file] };
}

interface ReadTask extends TaskRequest {
  readonly records: readonly PlacedRecord[];
  readonly problems: ProblemList;
  readonly file: DataFile;
}

/** `NAME=FILE` or `FILE`, which may hold an equals sign. */
async function parseTask(
  asked: string,
  attempt: string,
): Promise<{ readonly named: Task | undefined; readonly path: string }> {
  const [, name = "", rest = ""] = /^(\w+)=(.+)$/.exec(asked) ?? [];
  const named = taskNamed(name);
  if (named) return { named, path: rest };
  const isThere = await stat(asked).then(
    () => true,
    () => false,
  );
  if (isThere) return { named: undefined, path: asked };
  const known = taskNames.join(", ");
  if (name !== "") throw new InputError(attempt, `there is no task "${name}": tasks are ${known}`);
  const typed = taskNamed(asked) ? `${asked}=FILE` : "FILE, or NAME=FILE";
  throw new InputError(attempt, `there is no such file, type --task ${typed}; names of tasks are ${known}`);
}

async function readFile(path: string, problems: ProblemList, attempt: string): ReturnType<typeof readTaskRecords> {
  return readTaskRecords(path, problems).catch((error: unknown) => {
    throw new InputError(attempt, `${path}: ${reason(error)}`, { cause: error });
  });
}

function askedOf<Kind extends Task>(
  task: Kind,
  records: readonly PlacedRecord[],
  problems: ProblemList,
): AskedRecord<Kind>[] {
  const asked: AskedRecord<Kind>[] = [];
  for (const [doc, { record, place }] of records.entries()) {
    try {
      asked.push({ doc, record, question: task.read(record) as ReturnType<Kind["read"]> });
    } catch (error) {
      if (!(error instanceof BadField)) throw error;
      addProblem(problems, place, error.fault);
    }
  }
  return asked;
}

/** The section of a question; that of all others is "". */
export function sectionOf<Kind extends Task>({ question }: AskedRecord<Kind>): string {
  return "section" in question ? (question.section ?? "") : "";
}

function firstOfSections<Kind extends Task>(all: readonly AskedRecord<Kind>[], limit: number): AskedRecord<Kind>[] {
  const counts = new Map<string, number>();
  return all.filter((asked) => {
    const section = sectionOf(asked);
    const count = (counts.get(section) ?? 0) + 1;
    counts.set(section, count);
    return count <= limit;
  });
}

const SPLIT = /(?<![a-z])(test|validation|valid|val|dev|train)(?![a-z])/i;

/** The file that examples come from: the one that is named, else the one beside the questions that is named after its split. */
async function exampleFile(task: Task, path: string, named: string | undefined, attempt: string): Promise<string> {
  const { split } = task.shots;
  const beside = basename(path).replace(SPLIT, split);
  const guess = beside === basename(path) ? undefined : join(dirname(path), beside);
  const from = named ?? guess;
  const isThere =
    from !== undefined &&
    (await stat(from).then(
      (stats) => stats.isFile(),
      () => false,
    ));
  if (isThere) return from;
  const wanted =
    from === undefined ? `nothing beside ${path} is named after the split ${split}` : `there is no ${from}`;
  throw new InputError(
    attempt,
    `its examples are missing: ${wanted}; name their file, --shots-from FILE, or --shots 0`,
  );
}

/** Every section of the questions needs enough examples. */
function checkExamples<Kind extends Task>(
  { task, questions, shots }: Pick<LoadedTask<Kind>, "task" | "questions" | "shots">,
  examples: readonly AskedRecord<Kind>[],
  from: string,
  attempt: string,
): void {
  const counts = new Map<string, number>();
  for (const example of examples) counts.set(sectionOf(example), (counts.get(sectionOf(example)) ?? 0) + 1);
  const needed = shots + (task.shots.sparesOwn ? 1 : 0);
  const short = [...new Set(questions.map(sectionOf))].find((section) => (counts.get(section) ?? 0) < needed);
  if (short === undefined) return;
  const where = short === "" ? from : `${from} about ${short}`;
  throw new InputError(
    attempt,
    `${where} has ${counts.get(short) ?? 0} examples, ${needed} are needed for --shots ${shots}`,
  );
}
