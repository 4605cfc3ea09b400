/** Whole sentences, commands included: data_forms.test.ts runs the commands if their tools are. */
import { expect, test } from "vitest";
import { describeForeignRecords, type ForeignRecords } from "./foreign_records.ts";

const needed = "a list of objects with instruction, output and optionally input is needed";
const describeAll = (first: object, more: Partial<ForeignRecords> = {}) =>
  describeForeignRecords({
    path: "d/data.json",
    count: 3,
    isList: false,
    first: first as Readonly<Record<string, unknown>>,
    keys: Object.keys(first),
    ...more,
  });
const jq = (program: string, made = "make one") =>
  `${needed}; ${made} with: jq -c ${program} d/data.json > d/data.fixed.jsonl`;
const record = { instruction: "i", output: "o" };

const flag = (fields: string) =>
  `instruction and output are needed: if they are what is meant, give --fields ${fields}`;

test("columns that may be meant are proposed, of several the first; input alone is what is asked", () => {
  const kinds: [object, string][] = [
    [{ prompt: 1, chosen: 2, rejected: 3 }, "instruction=prompt output=chosen"],
    [{ Question: 1, Choices: 2, Answer: 3 }, "instruction=Question output=Answer"],
    [{ question: 1, query: 2, answer: 3 }, "instruction=question output=answer"],
    [{ "my question": 1, query: 1, label: 2 }, "instruction=query output=label"],
    [
      { context: 1, question: 1, answers: { text: ["a"], start: [1] } },
      "instruction=question input=context output=answers.text.0",
    ],
    [{ input: 1, output: [{ value: "a" }] }, "instruction=input output=output.0.value"],
    [{ "it's": 1, user: 1, "the label": 1, Target: 2 }, "instruction=user output=Target"],
  ];
  for (const [first, fields] of kinds)
    expect(describeAll(first)).toBe(
      `its 3 records have the keys ${Object.keys(first)
        .map((key) => (/'/.test(key) ? JSON.stringify(key) : key))
        .join(", ")}, ${flag(fields)}`,
    );
});

test("every name that is known for a field is proposed", () => {
  const names = {
    instruction: ["instruction", "prompt", "question", "query", "problem", "input_text", "user", "human"],
    output: ["output", "completion", "answer", "response", "chosen", "target", "solution", "label", "assistant"],
  };
  for (const asked of names.instruction)
    for (const answered of names.output)
      expect(describeAll({ [answered]: 1, [asked]: 1 })).toContain(flag(`instruction=${asked} output=${answered}`));
  for (const input of ["input", "context"])
    expect(describeAll({ prompt: 1, [input]: 1, label: 1 })).toContain(` input=${input} `);
});

test("if no key can be an instruction or an output no command is offered", () => {
  expect(describeAll({ text: 1 })).toBe(`its 3 records have the key text, ${needed}`);
  expect(describeAll({ prompt: 1, text: 1 })).toBe(`its 3 records have the keys prompt, text, ${needed}`);
  expect(describeAll({ text: 1, answer: 1 })).toBe(`its 3 records have the keys text, answer, ${needed}`);
  expect(describeAll({})).toBe(`its 3 records have no keys, ${needed}`);
  expect(describeAll({}, { count: 1 })).toBe(`its record has no keys, ${needed}`);
  expect(describeAll({ text: 1 }, { count: 1 })).toBe(`its record has the key text, ${needed}`);
});

test("records in an envelope are taken out of its key", () => {
  const inRow = flag("instruction=row.instruction input=row.input output=row.output");
  expect(describeAll({ id: 1, row: record })).toBe(`its 3 records have the keys id, row, ${inRow}`);
  expect(describeAll({ "a row": record })).toContain("--fields 'instruction=a row.instruction'");
  expect(describeAll({ row: { instruction: "i" } })).toBe(`its 3 records have the key row, ${needed}`);
  expect(describeAll({ row: { output: "o" } })).toBe(`its 3 records have the key row, ${needed}`);
});

test("conversations give the first question and its answer, in the words of OpenAI and of ShareGPT", () => {
  const program = (key: string, [who, said, user, model]: readonly [string, string, string, string]) => {
    const of = (name: string) => `([${key}[] | select(.${who} == "${name}") | .${said}] | first)`;
    return `'{instruction: ${of(user)}, output: ${of(model)}}'`;
  };
  const made = "make one of the first question and its answer of each";
  const openAi = { id: 1, messages: [{ role: "user", content: "c" }] };
  expect(describeAll(openAi)).toBe(
    `it holds conversations ("messages", lists of role and content), which --template chat trains as they are; for instructions, ${jq(program(".messages", ["role", "content", "user", "assistant"]), made)}`,
  );
  const shareGpt = { "the turns": [{ from: "human", value: "v" }] };
  expect(describeAll(shareGpt, { count: 1, isList: true })).toBe(
    `it holds conversations ("the turns", lists of from and value), ` +
      jq(program('.["the turns"]', ["from", "value", "human", "gpt"]), made).replace("'{", "'.[] | {"),
  );
  for (const turn of [{ role: "user" }, { content: "c" }, { from: "human", content: "c" }, "user"])
    expect(describeAll({ messages: [turn], text: 1 })).toContain("its 3 records have the keys messages, text");
});

test("records under names are all its values, and each of them a record", () => {
  expect(describeAll({ a: record, b: record }, { count: 1 })).toBe(
    `it is an object with 2 records under names, ${jq("'.[]'")}`,
  );
  expect(describeAll({ a: record, b: 1 }, { count: 1 })).toBe(
    `its record has the keys a, b, ${flag("instruction=a.instruction input=a.input output=a.output")}`,
  );
});

test("tables by columns and of rows are named, with jq or pandas as they need it", () => {
  const whole = (first: object) => describeAll(first, { count: 1 });
  const pandas = (orient: string) =>
    `python3 -c "import pandas, sys; pandas.read_json(sys.argv[1], orient='${orient}').to_json(sys.argv[2], orient='records', lines=True)" d/data.json d/data.fixed.jsonl`;
  const columns = { instruction: ["i"], output: ["o"] };
  expect(whole(columns)).toBe(
    `it is a table by columns: instruction, output, ${jq("'range(.instruction | length) as $i | map_values(.[$i])'")}`,
  );
  expect(whole({ instruction: { 0: "i" }, output: { 0: "o" } })).toBe(
    `it is a table by columns: instruction, output, ${needed}; make one with: ${pandas("columns")}`,
  );
  expect(whole({ columns: ["instruction", 2], data: [["i", "o"]] })).toBe(
    `it is a table of rows with the columns instruction, 2, ${needed}; make one with: ${pandas("split")}`,
  );
  for (const other of [
    { columns: ["a"], data: ["i"] },
    { columns: "a", data: [["i"]] },
    { columns: ["a"], data: [] },
    { columns: ["a"], data: "i" },
    { instruction: ["i"], text: "o" },
    { instruction: { 0: "i" }, text: "o" },
    { text: "i", output: ["o"] },
    { text: "i", output: { 0: "o" } },
  ])
    expect(whole(other)).toMatch(/^its record has the keys/);
});
