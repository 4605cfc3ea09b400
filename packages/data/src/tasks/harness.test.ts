/** Prompts against those of lm-evaluation-harness 0.4.13 on records made for it: `tests/lm_eval/make.sh` wrote the values. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { loadTask } from "./load.ts";
import { choiceItems } from "./prompts.ts";

const folder = fileURLToPath(new URL("../../../../tests/lm_eval/", import.meta.url));

interface HarnessItem {
  readonly doc: number;
  readonly section?: string;
  readonly pairs: readonly (readonly [context: string, continuation: string])[];
}

interface HarnessTask {
  readonly task: string;
  readonly file: string;
  readonly shots?: number;
  readonly examples?: string;
  readonly items: readonly HarnessItem[];
}

const golden = JSON.parse(readFileSync(`${folder}golden.json`, "utf8")) as Readonly<Record<string, HarnessTask>>;

test.each(Object.entries(golden))(
  "%s: contexts and what is scored after them are the harness's, letter by letter [D-task-prompts]",
  async (_, { task, file, shots = 0, examples, items }) => {
    const from = examples === undefined ? {} : { shotsFrom: `${folder}items/${examples}` };
    const loaded = await loadTask({ task: `${folder}items/${file}`, shots, ...from });
    expect(loaded.task.name).toBe(task);
    if (loaded.task.kind !== "choices") throw new Error(`${task} is no task of choices`);
    const made = [...choiceItems({ ...loaded, task: loaded.task } as Parameters<typeof choiceItems>[0])];
    const bySection = made.toSorted((a, b) => ((a.section ?? "") < (b.section ?? "") ? -1 : 1));
    expect(bySection.map(({ pairs }) => pairs.map((pair) => [pair.context, pair.continuation]))).toEqual(
      items.map(({ pairs }) => pairs),
    );
  },
);
