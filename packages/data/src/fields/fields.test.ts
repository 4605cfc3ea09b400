import { describe, expect, test } from "vitest";
import { addItem, neededColumns, newReading, newShape, unreadOf } from "../reading.ts";
import { describeProblems } from "../record_problems.ts";
import { readRecords } from "../records.ts";
import { renamed, valueAt } from "./field_map.ts";
import { knownNaming, possibleNaming } from "./namings.ts";

function readAll(items: readonly unknown[], rules: Parameters<typeof newReading>[0] = {}) {
  const [reading, shape] = [newReading(rules), newShape("d.json", ".")];
  for (const [index, item] of items.entries()) addItem(item, { file: "d.json", index }, reading, shape);
  return { ...reading, problems: describeProblems(reading.problems), unread: unreadOf(reading) };
}

describe("columns by their names [D-columns-auto]", () => {
  test.each([
    [
      { prompt: "a", completion: "b" },
      { instruction: "prompt", output: "completion" },
    ],
    [
      { Question: "a", Answer: "b" },
      { instruction: "Question", output: "Answer" },
    ],
    [
      { query: "a", response: "b", id: 1 },
      { instruction: "query", output: "response" },
    ],
    [
      { instruction: "a", context: "c", response: "b", category: "x" },
      { instruction: "instruction", input: "context", output: "response" },
    ],
    [
      { problem: "a", solution: "b" },
      { instruction: "problem", output: "solution" },
    ],
    [
      { input: "a", output: "b" },
      { instruction: "input", output: "output" },
    ],
    [{ prompt: "a", question: "b", answer: "c" }, undefined],
    [{ prompt: "a", response: "b", answer: "c" }, undefined],
    [{ prompt: "a", chosen: "b", rejected: "c", response: "d" }, undefined],
    [{ question: "a", choices: ["b"], answer: "b" }, undefined],
    [{ context: "a", answer: "b" }, undefined],
    [{ text: "a" }, undefined],
  ])("%j", (item, naming) => {
    expect(knownNaming(item)).toEqual(naming);
  });

  test("what the first records say of a file holds for it; records with our names are read beside them", () => {
    const { records, problems, unread } = readAll([
      { text: "no record" },
      { prompt: "a", response: "b", id: 1 },
      { instruction: "c", output: "d" },
      { prompt: "e" },
      { prompt: "f", response: 3 },
    ]);
    expect(records).toEqual([
      { instruction: "a", input: "", output: "b" },
      { instruction: "c", input: "", output: "d" },
    ]);
    expect(problems).toEqual([
      'd.json, record 0, field "instruction": found nothing, expected a text that is not empty',
      'd.json, record 3, field "response": found nothing, expected a text',
      'd.json, record 4, field "response": found a value of type number, expected a text',
    ]);
    expect(unread).toEqual([{ name: "id", records: 1 }]);
  });

  test("under a template of chats turns come first, also as the text of their JSON", () => {
    const turns = [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
    ];
    const { records } = readAll(
      [
        { messages: turns },
        { messages: JSON.stringify(turns) },
        { prompt: "a", completion: "b" },
        { question: "a", answer: "b" },
      ],
      { chats: true },
    );
    expect(records).toEqual([
      { messages: turns },
      { messages: turns },
      { messages: turns },
      { instruction: "a", input: "", output: "b" },
    ]);
  });

  test("runs of 0.1.0 know our names alone", () => {
    expect(readAll([{ prompt: "a", completion: "b" }], { fields: "own" }).records).toEqual([]);
  });
});

describe("columns by a map [D-columns-fields]", () => {
  test("a place inside a column, of several columns; a column of the whole name wins", () => {
    const item = { answers: { text: ["x", "y"] }, "a.b": "whole", a: { b: "part" } };
    expect(
      ["answers.text.1", "a.b", "answers.text.2", "answers.none", "a.b.c", "__proto__.x"].map((path) =>
        valueAt(item, path),
      ),
    ).toEqual(["y", "whole", undefined, undefined, undefined, undefined]);
    expect(renamed({ q: "a", instruction: "old", more: 1 }, { instruction: "q" })).toEqual({
      more: 1,
      instruction: "a",
    });
  });

  test("records are made of it, faults name the columns, other columns are counted", () => {
    const fields = { instruction: "q", output: "replies.0" };
    const { records, problems, unread } = readAll(
      [
        { q: "a", replies: ["b"], id: 1 },
        { q: "a", replies: [] },
      ],
      { fields },
    );
    expect(records).toEqual([{ instruction: "a", input: "", output: "b" }]);
    expect(problems).toEqual(['d.json, record 1, field "replies.0": found nothing, expected a text']);
    expect(unread).toEqual([{ name: "id", records: 1 }]);
  });

  test("records of another file, which have our names and none of the map's columns, are read as they are", () => {
    const { records } = readAll([{ instruction: "a", output: "b" }], { fields: { instruction: "q", output: "r" } });
    expect(records).toHaveLength(1);
    const { problems } = readAll([{ instruction: "a", output: "b", q: "c" }], {
      fields: { instruction: "q", output: "r" },
    });
    expect(problems).toEqual(['d.json, record 0, field "r": found nothing, expected a text']);
  });

  test("a map of turns makes chats", () => {
    const turns = [
      { from: "human", value: "a" },
      { from: "gpt", value: "b" },
    ];
    const { records } = readAll([{ talk: turns }], { chats: true, fields: { conversations: "talk" } });
    expect(records).toMatchObject([
      {
        messages: [
          { role: "user", content: "a" },
          { role: "assistant", content: "b" },
        ],
      },
    ]);
  });
});

test("what is proposed leads to a text inside a column", () => {
  const squad = { context: "c", question: "q", answers: { answer_start: [1], text: ["a"] } };
  expect(possibleNaming(squad, Object.keys(squad))).toEqual({
    instruction: "question",
    input: "context",
    output: "answers.text.0",
  });
});

test("of a table the columns are read that a record or its description needs", () => {
  const names = ["question", "Answer", "id", "image", "label", "messages", "reply"];
  expect(neededColumns(names, newReading({}))).toEqual(["question", "Answer", "label", "messages"]);
  expect(neededColumns(names, newReading({ images: true, fields: "own" }))).toEqual(["image", "messages"]);
  expect(neededColumns(names, newReading({ fields: { output: "reply.text" } }))).toEqual(["messages", "reply"]);
});

describe("a column that is a system prompt [D-columns-system]", () => {
  const fields = { instruction: "q", output: "a", system: "sys" };
  const items = [
    { q: "x", a: "y", sys: "Be short." },
    { q: "x", a: "y", sys: " " },
    { q: "x", a: "y", sys: null, other: 1 },
  ];
  const turns = [
    { role: "user", content: "x" },
    { role: "assistant", content: "y" },
  ];

  test("begins a chat, also that of an instruction; a record without one stays as it is", () => {
    const { records, unread, problems } = readAll(items, { fields, chats: true });
    expect(problems).toEqual([]);
    expect(records).toEqual([
      { messages: [{ role: "system", content: "Be short." }, ...turns] },
      { instruction: "x", input: "", output: "y" },
      { instruction: "x", input: "", output: "y" },
    ]);
    expect(unread).toEqual([{ name: "other", records: 1 }]);
    const chat = { messages: turns, sys: "Be short.", tools: [{ name: "t" }] };
    const { records: chats } = readAll([chat], { fields: { messages: "messages", system: "sys" }, chats: true });
    expect(chats).toEqual([{ messages: [{ role: "system", content: "Be short." }, ...turns], tools: [{ name: "t" }] }]);
  });

  test("is a text, and without a map a field that nobody reads", () => {
    const bad = readAll([{ q: "x", a: "y", sys: 3 }], { fields, chats: true });
    expect(bad.problems).toEqual([
      'd.json, record 0, field "sys": found a value of type number, expected a text or nothing',
    ]);
    const unmapped = readAll([{ instruction: "x", output: "y", system: "Be short." }], { chats: true });
    expect(unmapped.records).toEqual([{ instruction: "x", input: "", output: "y" }]);
    expect(unmapped.unread).toEqual([{ name: "system", records: 1 }]);
  });

  test("has no place in a template of instructions, which is refused before anything is read", async () => {
    const reading = readRecords("nowhere.json", { fields });
    await expect(reading).rejects.toThrow(/--fields says that sys is a system prompt.*--template chat/);
  });
});
