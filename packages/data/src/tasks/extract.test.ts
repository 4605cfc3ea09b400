/** GSM8K against lm-evaluation-harness 0.4.13: its filters, its comparison and its examples wrote `tests/lm_eval/gsm8k.json`. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { OpenTask } from "./definition.ts";
import { isSameNumber, lastNumber, strictNumber, untilStop } from "./extract.ts";
import { type LoadedTask, loadTask } from "./load.ts";
import { openItems } from "./prompts.ts";

const folder = fileURLToPath(new URL("../../../../tests/lm_eval/", import.meta.url));

interface Golden {
  readonly targets: readonly string[];
  readonly answers: readonly {
    readonly text: string;
    readonly strict: string;
    readonly flexible: string;
    readonly right: readonly (readonly boolean[])[];
  }[];
  readonly contexts: readonly string[];
}

const golden = JSON.parse(readFileSync(`${folder}gsm8k.json`, "utf8")) as Golden;

test.each(golden.answers)(
  "the numbers of $text are the harness's, and are right for the same targets [D-task-written]",
  ({ text, strict, flexible, right }) => {
    const found = [strictNumber(text), lastNumber(text)];
    expect(found).toEqual([strict, flexible]);
    expect(found.map((number) => golden.targets.map((target) => isSameNumber(number, target)))).toEqual(right);
  },
);

test("an answer ends before the first of its stops [D-task-written]", () => {
  expect(untilStop("7\nQuestion: more</s>", ["Question:", "</s>"])).toBe("7\n");
  expect(untilStop("a</s>b Question: c", ["Question:", "</s>"])).toBe("a");
  expect(untilStop("nothing ends it", ["Question:"])).toBe("nothing ends it");
});

test("the five examples of each question are those that the harness draws [D-task-shots, D-task-written]", async () => {
  const loaded = await loadTask({ task: `${folder}items/gsm8k_test.jsonl` });
  expect(loaded).toMatchObject({ task: { name: "gsm8k" }, shots: 5 });
  expect([...openItems(loaded as LoadedTask<OpenTask>)].map(({ prompt }) => prompt)).toEqual(golden.contexts);
});
