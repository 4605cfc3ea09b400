import { expect, test } from "vitest";
import { listOf, listsIn } from "./envelope.ts";

const record = { instruction: "i", output: "o" };

test("an object is looked through for lists of objects, two objects deep", () => {
  expect(listOf("d.json", { version: 1, data: [record, record] }, undefined)).toEqual([record, record]);
  expect(listsIn({ a: { b: { c: [record] } } })).toEqual([{ path: ["a", "b", "c"], values: [record] }]);
  expect(listsIn({ a: { b: { c: { d: [record] } } } })).toEqual([]);
  expect(listsIn({ a: ["text"], b: [], c: [[record]] })).toEqual([]);
});

test("of several lists one has to be named", () => {
  const file = { train: [record], "the test": [record, record] };
  expect(() => listOf("d/data.json", file, undefined)).toThrow(
    'it is an object with the lists "train" (1), "the test" (2), one is needed: give "d/data.json#train"',
  );
  expect(listOf("d.json", file, "the test")).toHaveLength(2);
  expect(listOf("d.json", { a: { b: [record], c: [record] } }, "a.c")).toEqual([record]);
  expect(() => listOf("d.json", file, "a")).toThrow('no list of the name "a" is in it, it has "train", "the test"');
  expect(() => listOf("d.json", { a: 1 }, "a")).toThrow('no list of the name "a" is in it, it has none');
});

test("turns of a chat are no list of records", () => {
  expect(listsIn({ messages: [{ role: "user", content: "c" }], turns: [{ from: "human", value: "v" }] })).toEqual([]);
  expect(listsIn({ data: [{ role: "user" }] })).toHaveLength(1);
});
