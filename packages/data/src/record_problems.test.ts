import { expect, test } from "vitest";
import {
  addProblem,
  describeProblem,
  describeProblems,
  listed,
  noProblems,
  quote,
  withRest,
} from "./record_problems.ts";

const fault = { found: "nothing", expected: "a text" };
const lines = (...faults: { line: number; found?: string; kind?: string; field?: string; file?: string }[]) => {
  const list = noProblems();
  for (const { line, file = "d.jsonl", ...more } of faults) addProblem(list, { file, line }, { ...fault, ...more });
  return describeProblems(list);
};
const of = (count: number, first = 1) => Array.from({ length: count }, (_, i) => ({ line: first + i }));

test("a problem says file, place, field, what was found and what is needed", () => {
  expect(lines({ line: 3, field: "output" })).toEqual([
    'd.jsonl, line 3, field "output": found nothing, expected a text',
  ]);
  const list = noProblems();
  addProblem(list, { file: "d.json", index: 0 }, fault);
  addProblem(list, { file: "e.json" }, fault);
  expect(describeProblems(list)).toEqual([
    "d.json, record 0: found nothing, expected a text",
    "e.json, record 0: found nothing, expected a text",
  ]);
  expect(list.bad).toBe(2);
});

test("places of the same problem stand in a row, the first five of them and how many more there are", () => {
  expect(lines(...of(2))).toEqual(["d.jsonl, lines 1 and 2: found nothing, expected a text"]);
  expect(lines(...of(5))).toEqual(["d.jsonl, lines 1, 2, 3, 4 and 5: found nothing, expected a text"]);
  expect(lines(...of(6))).toEqual(["d.jsonl, lines 1, 2, 3, 4, 5 and 1 more: found nothing, expected a text"]);
  const list = noProblems();
  for (const index of [4, 7]) addProblem(list, { file: "d.json", index }, fault);
  expect(describeProblems(list)).toEqual(["d.json, records 4 and 7: found nothing, expected a text"]);
});

test("another file, field, kind or finding is another problem; of one kind the first finding is an example", () => {
  const all = [
    { line: 1 },
    { line: 1, field: "input" },
    { line: 1, found: "null" },
    { line: 1, file: "e.jsonl" },
    { line: 1, kind: "blank" },
  ];
  expect(lines(...all)).toHaveLength(5);
  expect(lines({ line: 1, kind: "k", found: "a" }, { line: 2, kind: "k", found: "a" })[0]).toContain(": found a,");
  const three = [1, 2, 3].map((line) => ({ line, kind: "k", found: `f${line}` }));
  expect(lines(...three.slice(0, 2))).toEqual(["d.jsonl, lines 1 and 2: found for example f1, expected a text"]);
  expect(lines(...three)).toEqual(["d.jsonl, lines 1, 2 and 3: found for example f1, expected a text"]);
});

test("twenty problems are listed, the records of all others are counted", () => {
  const different = (count: number) => lines(...of(count).map(({ line }) => ({ line, found: `f${line}` })));
  expect(different(20)).toHaveLength(20);
  expect(different(23)).toHaveLength(21);
  expect(different(23).at(-1)).toBe("and 3 more");
  expect(lines()).toEqual([]);
});

test("sixty characters are quoted whole, of more the first sixty", () => {
  expect(quote("a".repeat(60))).toBe(`"${"a".repeat(60)}"`);
  expect(quote("a".repeat(61))).toBe(`"${"a".repeat(60)}…"`);
  expect(quote("\u001b[31m")).toBe(String.raw`"\u001b[31m"`);
});

test("names stand plain if they are plain, else in quotes; twelve of them and how many more", () => {
  expect(listed(["a", "a-b.c d", "", "é", "x".repeat(40), "y".repeat(41)])).toBe(
    `a, a-b.c d, "", "é", ${"x".repeat(40)}, "${"y".repeat(41)}"`,
  );
  const names = Array.from({ length: 14 }, (_, i) => `n${i}`);
  expect(withRest(names.slice(0, 12))).toBe(names.slice(0, 12).join(", "));
  expect(withRest(names)).toBe(`${names.slice(0, 12).join(", ")} and 2 more`);
  expect(listed(names)).toBe(withRest(names));
});

test("a stored problem is reported like one just found", () => {
  const problem = { file: "d.jsonl", line: 4, places: [4], count: 1, ...fault };
  expect(describeProblem(problem)).toBe("d.jsonl, line 4: found nothing, expected a text");
});
