/** The folder of an evaluation: what was asked, an answered question a line, totals, and a page of disagreements. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { parseStrictJson } from "@zerogate/core/formats";
import { readRegularFile, reason, writeFileAtomic } from "@zerogate/core/node";
import { createTrouble, openAppendFile } from "@zerogate/run-files";
import type { AnsweredItem } from "@zerogate/trainer/command";

/** What decides the scores, by name. */
export type TaskIdentity = Readonly<Record<string, unknown>>;

/** Where answered questions go, and those that are there already. */
export interface TaskFolder {
  /** Undefined: nothing is kept. */
  readonly path: string | undefined;
  has(task: string, doc: number): boolean;
  add(item: AnsweredItem): void;
  /** The answered questions of a task, in the order of its file. */
  itemsOf(task: string): AnsweredItem[];
  close(): void;
}

const ASKED = "eval.json";
const ITEMS = "items.jsonl";

/**
 * Opens the folder, or keeps everything in memory. A folder of the same evaluation is gone on with, a half-written last line is
 * cut off.
 *
 * @throws InputError for a folder of another evaluation.
 */
export async function openTaskFolder(
  path: string | undefined,
  identify: () => Promise<TaskIdentity>,
  log: (line: string) => void,
): Promise<TaskFolder> {
  const answered = new Map<string, AnsweredItem>();
  const memory: Omit<TaskFolder, "path"> = {
    has: (task, doc) => answered.has(keyOf({ task, doc })),
    add: (item) => void answered.set(keyOf(item), item),
    itemsOf: (task) => [...answered.values()].filter((item) => item.task === task).toSorted((a, b) => a.doc - b.doc),
    close: () => {},
  };
  if (path === undefined) return { path, ...memory };
  await mkdir(path, { recursive: true });
  await checkIdentity(path, await identify());
  const { items, bytes } = await readItems(join(path, ITEMS));
  for (const item of items) memory.add(item);
  if (items.length > 0) log(`${path} has ${items.length} answered questions: they are not asked again`);
  const file = openAppendFile(join(path, ITEMS), createTrouble(join(path, ITEMS), log), bytes);
  return {
    path,
    ...memory,
    add(item) {
      memory.add(item);
      file.write(`${JSON.stringify(item)}\n`);
    },
    close: file.close,
  };
}

const keyOf = ({ task, doc }: Pick<AnsweredItem, "task" | "doc">): string => `${task} ${doc}`;

/** Compares with what the folder was made for, or makes it so. */
async function checkIdentity(path: string, identity: TaskIdentity): Promise<void> {
  const file = join(path, ASKED);
  const written = await readRegularFile(file).catch(() => undefined);
  if (written === undefined) {
    await writeFileAtomic(file, `${JSON.stringify(identity, undefined, 2)}\n`);
    return;
  }
  const attempt = `Cannot go on with the evaluation in ${path}`;
  let before: TaskIdentity;
  try {
    before = parseStrictJson(written.toString()) as TaskIdentity;
  } catch (cause) {
    throw new InputError(attempt, `${ASKED} cannot be read (${reason(cause)}): choose another --out`, { cause });
  }
  const differs = Object.keys(identity).filter((key) => JSON.stringify(before[key]) !== JSON.stringify(identity[key]));
  if (differs.length > 0) {
    throw new InputError(attempt, `it is one of another kind, ${differs.join(" and ")} differ: choose another --out`);
  }
}

/** The items of whole lines, and how many bytes those are. */
async function readItems(path: string): Promise<{ readonly items: readonly AnsweredItem[]; readonly bytes: number }> {
  const written = await readRegularFile(path).catch(() => Buffer.alloc(0));
  const bytes = written.lastIndexOf(10) + 1;
  const lines = written.toString("utf8", 0, bytes).split("\n").slice(0, -1);
  const items = lines.map((line, i) => {
    try {
      return JSON.parse(line) as AnsweredItem;
    } catch (cause) {
      const problem = `line ${i + 1} of ${path} is no answered question: remove it, or choose another --out`;
      throw new InputError("Cannot go on with the evaluation", problem, { cause });
    }
  });
  return { items, bytes };
}
