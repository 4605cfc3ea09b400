import { expect, test } from "vitest";
import { addItem, newReading, newShape, unreadOf } from "./reading.ts";
import { describeProblems } from "./record_problems.ts";

function readAll(items: readonly unknown[]) {
  const [reading, shape] = [newReading({}), newShape("d.json", ".")];
  for (const [index, item] of items.entries()) addItem(item, { file: "d.json", index }, reading, shape);
  return { reading, shape };
}
const record = { instruction: "i", output: "o" };

test("records are kept, and what else they hold is counted by name, the most frequent first, then by name", () => {
  const { reading, shape } = readAll([
    { ...record, system: "s", b: 1 },
    { ...record, system: "s", a: [1] },
    { ...record, system: " ", note: null, list: [], object: {}, input: "x" },
  ]);
  expect(reading.records).toHaveLength(3);
  expect(unreadOf(reading)).toEqual([
    { name: "system", records: 2 },
    { name: "a", records: 1 },
    { name: "b", records: 1 },
  ]);
  expect(shape).toMatchObject({ items: 3, foreign: 0, first: undefined });
});

test("a thousand names are counted, and of each a hundred characters", () => {
  const many = Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`n${i}`, 1]));
  const { reading } = readAll([
    { ...record, ...many },
    { ...record, n0: 1, n1000: 1, late: 1 },
  ]);
  expect(reading.unread.size).toBe(1000);
  expect(unreadOf(reading)[0]).toEqual({ name: "n0", records: 2 });
  expect([reading.unread.has("n1000"), reading.unread.has("late")]).toEqual([false, false]);
  const long = readAll([
    { ...record, ["x".repeat(101)]: 1 },
    { ...record, ["x".repeat(100)]: 1 },
  ]);
  expect(unreadOf(long.reading)).toEqual([{ name: "x".repeat(100), records: 2 }]);
});

test("objects without the fields of a record are foreign, with the first of them and the keys of all", () => {
  const { shape, reading } = readAll([{ prompt: "a" }, { answer: "b" }, "text", 3, [record]]);
  expect(shape).toMatchObject({ items: 5, foreign: 2, first: { prompt: "a" } });
  expect([...shape.keys]).toEqual(["prompt", "answer"]);
  expect(reading.problems.bad).toBe(5);
});

test("a field with another value is a bad record, unless both hold columns of a table", () => {
  const foreign = (item: object) => readAll([item]).shape.foreign;
  for (const item of [
    { instruction: "i" },
    { output: "o" },
    { instruction: ["i"], output: ["o"] },
    { instruction: {}, output: {} },
  ])
    expect(foreign(item)).toBe(1);
  for (const item of [
    { instruction: 3, output: "o" },
    { instruction: "i", output: null },
    { instruction: ["i"], output: 3 },
    { instruction: 3, output: ["o"] },
    { instruction: " ", output: "o" },
  ])
    expect(foreign(item)).toBe(0);
});

test("keys of foreign objects are gathered up to a thousand", () => {
  const many = Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`n${i}`, 1]));
  expect(readAll([many]).shape.keys.size).toBe(1000);
});

test("what a record lacks is said by its first field at fault", () => {
  const problems = (item: unknown) =>
    describeProblems(readAll([item]).reading.problems)[0]?.replace("d.json, record 0", "");
  expect(problems(null)).toBe(": found null, expected an object with instruction and output");
  expect(problems([])).toBe(": found an array, expected an object with instruction and output");
  expect(problems({ output: "o" })).toBe(', field "instruction": found nothing, expected a text that is not empty');
  expect(problems({ instruction: "", output: "o" })).toBe(
    ', field "instruction": found an empty text, expected a text that is not empty',
  );
  expect(problems({ instruction: " ", output: 3 })).toBe(
    ', field "instruction": found the text " ", expected a text that is not empty',
  );
  expect(problems({ instruction: "i", input: 3, output: 3 })).toBe(
    ', field "input": found a value of type number, expected a text or nothing',
  );
  expect(problems({ instruction: "i", output: {} })).toBe(
    ', field "output": found a value of type object, expected a text',
  );
  const million = "x".repeat(1_000_000);
  expect(problems({ instruction: million, output: "o" })).toBeUndefined();
  expect(problems({ instruction: "i", output: `${million}x` })).toBe(
    ', field "output": found 1000001 characters, expected at most 1000000',
  );
  for (const half of ["\ud83d", "\ude00", "a\ude00\ud83d"])
    expect(problems({ instruction: "i", output: half })).toContain("half of a surrogate pair");
  expect(problems({ instruction: "i", output: "😀" })).toBeUndefined();
});
