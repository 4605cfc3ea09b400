import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { expect, test } from "vitest";
import { writtenRecords } from "../../test/written_records.ts";
import { loadTask, type TaskRequest } from "./load.ts";
import { choiceItems } from "./prompts.ts";

const folder = mkdtempSync(join(tmpdir(), "zerogate-tasks-"));

function file(name: string, ...records: readonly object[]): string {
  const path = join(folder, name);
  writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  return path;
}

async function load(request: TaskRequest | string) {
  const loaded = await loadTask(typeof request === "string" ? { task: request } : request);
  if (loaded.task.kind !== "choices") throw new Error("a task of choices was expected");
  return { ...loaded, task: loaded.task } as Parameters<typeof choiceItems>[0];
}

const message = async (request: TaskRequest | string): Promise<string> =>
  load(request).then(
    () => "nothing was refused",
    (error: Error) => error.message,
  );

const ai2 = (stem: string, key = "B", more: object = {}) => ({
  id: "1",
  question: { stem, choices: ["x", "y", "z", "w", "v"].map((text, i) => ({ text, label: "ABCDE"[i] })), ...more },
  answerKey: key,
});

test.each([
  ["choices", { question: "q", choices: ["a", "b", "c"], answer: 1 }, ["a", "b", "c"], 1],
  ["choices", { question: "q", choices: ["a", "b"], answer: "B" }, ["a", "b"], 1],
  ["choices", { question: "q", choices: ["B", "A"], answer: "A" }, ["B", "A"], 1],
  ["choices", { question: "q", choices: ["Ja", "Nein"], answer: "Nein" }, ["Ja", "Nein"], 1],
  ["boolq", { question: "q", passage: "p", label: 1, idx: 0 }, ["no", "yes"], 1],
  ["boolq", { question: "q", passage: "p", answer: false, title: "t" }, ["no", "yes"], 0],
  ["commonsense_qa", ai2("q", "C", { question_concept: "k" }), ["A", "B", "C", "D", "E"], 2],
  ["winogrande", { qID: "1", sentence: "a _ b.", option1: "x", option2: "y", answer: "1" }, ["b.", "b."], 0],
  [
    "hellaswag",
    { activity_label: "A", ctx_a: "a", ctx_b: "b", endings: ["1", "2", "3", "4"], label: 3 },
    ["1", "2", "3", "4"],
    3,
  ],
  [
    "scienceqa",
    { question: "q", choices: ["a", "b"], answer: 1, hint: "h", subject: "s", skill: "k", lecture: "" },
    ["A", "B"],
    1,
  ],
  ["mmlu", { question: "q", subject: "s", choices: ["a", "b", "c", "d"], answer: 2 }, ["A", "B", "C", "D"], 2],
])("a record of %s is recognised by its fields: %j [D-task-forms]", async (name, record, answers, gold) => {
  const { task, questions } = await load(file(`${name}_form.jsonl`, record));
  expect(task.name).toBe(name);
  expect(questions[0]?.question).toMatchObject({ answers, gold });
});

test("AI2's own files of ARC and OpenBookQA are alike: the file's name tells, or the user [D-task-forms]", async () => {
  const plain = file("plain.jsonl", ai2("q"));
  expect(await message(plain)).toBe(
    `Cannot tell which task ${plain} is of: arc_challenge, arc_easy, openbookqa have its fields: name one, --task arc_challenge=${plain}`,
  );
  expect((await load(`openbookqa=${plain}`)).questions[0]?.question.prompts[0]).toBe("q");
  const named = await load(file("ARC-Challenge-Test.jsonl", ai2("q")));
  expect(named.task.name).toBe("arc_challenge");
  expect(named.questions[0]?.question.prompts[0]).toBe("Question: q\nAnswer:");
});

test("a list, and objects over several lines, are read like lines [D-task-forms]", async () => {
  const records = [1, 0].map((answer) => ({ question: "q", choices: ["a", "b"], answer }));
  for (const text of [JSON.stringify(records), records.map((r) => JSON.stringify(r, undefined, 2)).join("\n")]) {
    const path = join(folder, "other.json");
    writeFileSync(path, text);
    expect((await load(path)).questions.map(({ question }) => question.gold)).toEqual([1, 0]);
  }
});

test("records that cannot be asked are named by line and field, or left out and counted [D-task-errors]", async () => {
  const good = { goal: "g", sol1: "a", sol2: "b", label: 0 };
  const path = file("piqa_bad.jsonl", good, { ...good, label: -1 }, { ...good, sol2: 7 }, good);
  expect(await message(path)).toBe(
    `Cannot use 2 of 4 records (skip bad records to leave such out):
  - ${path}, line 2, field "label": found -1, expected the right choice, a number from 0 to 1
  - ${path}, line 3, field "sol2": found 7, expected a text`,
  );
  const { questions, skipped } = await load({ task: path, skipBad: true });
  expect({ docs: questions.map(({ doc }) => doc), skipped }).toEqual({ docs: [0, 3], skipped: 2 });
});

test.each([
  [
    "no file",
    "nowhere.jsonl",
    "there is no such file, type --task FILE, or NAME=FILE; names of tasks are arc_challenge,",
  ],
  ["the name alone", "mmlu", "there is no such file, type --task mmlu=FILE; names of tasks are"],
  ["an unknown name", "mlu=x.jsonl", 'there is no task "mlu": tasks are arc_challenge, arc_easy, boolq,'],
])("what is no task is refused with what to type: %s [D-task-errors]", async (_, task, says) => {
  expect(await message(task)).toContain(says);
});

test("files without records, with other fields, or that are not JSON are refused [D-task-errors]", async () => {
  const empty = file("empty.jsonl");
  expect(await message(empty)).toBe(`Cannot use the task ${empty}: ${empty} holds no record, at least 1 is needed`);
  const foreign = file("foreign.jsonl", { instruction: "a", output: "b" });
  expect(await message(foreign)).toContain("its first record has the fields instruction, output, which no task has");
  const broken = join(folder, "broken.jsonl");
  writeFileSync(broken, '{"question": "q"\n{"question": "q", "choices": ["a", "b"], "answer": 0}\n');
  expect(await message(broken)).toContain('line 1: found "{\\"question\\": \\"q\\"", which is not JSON');
});

const question = (q: string, answer = 0) => ({ question: q, choices: ["a", "b"], answer });

test("examples come from the split beside the questions, or are asked for [D-task-shots]", async () => {
  const path = file("own_validation.jsonl", question("1"));
  expect(await message({ task: path, shots: 1 })).toBe(
    `Cannot use the task ${path}: its examples are missing: there is no ${join(folder, "own_train.jsonl")}; name their file, --shots-from FILE, or --shots 0`,
  );
  const train = file("own_train.jsonl", question("2", 1), question("3"));
  const [item] = choiceItems(await load({ task: path, shots: 2 }));
  const context = "Question: 2\nAnswer: b\n\nQuestion: 3\nAnswer: a\n\nQuestion: 1\nAnswer:";
  expect(item?.pairs).toEqual(["a", "b"].map((answer) => ({ context, continuation: ` ${answer}` })));
  expect(await message({ task: path, shots: 3 })).toContain(`${train} has 2 examples, 3 are needed for --shots 3`);
  const alone = file("alone.jsonl", question("1"));
  expect(await message({ task: alone, shots: 1 })).toContain(`nothing beside ${alone} is named after the split train`);
});

test("a limit counts the questions of each section, and leaves their examples as they are [D-task-shots]", async () => {
  const records = ["x", "y", "x", "y", "x"].map((subject, i) => {
    return { question: String(i), subject, choices: ["a", "b", "c", "d"], answer: 0 };
  });
  const { questions } = await load({ task: file("mmlu_limit_test.jsonl", ...records), limit: 2 });
  expect(questions.map(({ doc }) => doc)).toEqual([0, 1, 2, 3]);
});

test("an example that is the question itself is replaced, as the harness does for tasks without a test split [D-task-shots]", async () => {
  const records = ["a", "b", "c"].map((goal) => ({ goal, sol1: "x", sol2: "y", label: 0 }));
  const path = file("piqa_validation.jsonl", ...records);
  const shotsFrom = file("piqa_same.jsonl", ...records);
  for (let shotsSeed = 0; shotsSeed < 10; shotsSeed++) {
    for (const { doc, pairs } of choiceItems(await load({ task: path, shots: 2, shotsFrom, shotsSeed }))) {
      const examples = pairs[0]?.context.split("\n\n").slice(0, -1) ?? [];
      expect(examples).toHaveLength(2);
      expect(examples).not.toContain(`Question: ${records[doc]?.goal}\nAnswer: x`);
    }
  }
});

test("questions in tables, parquet and compressed files are those of JSON, lists in cells as their JSON [D-task-files]", async () => {
  const asked = Array.from({ length: 30 }, (_, i) => ({
    question: `q ${i}, "quoted"`,
    subject: i % 2 === 0 ? "anatomy" : "astronomy",
    choices: [`a${i}`, "b", "c", "d"],
    answer: String(i % 4),
  }));
  const plain = await load(file("mmlu.jsonl", ...asked));
  const items = [...choiceItems(plain)];
  expect(items).toHaveLength(30);
  const cells = asked.map((record) => ({ ...record, choices: JSON.stringify(record.choices) }));
  const { "rows.parquet": _, ...tables } = writtenRecords(cells);
  const columns = (type: "STRING" | "INT64", name: "question" | "subject" | "answer") => ({
    name,
    type,
    data: asked.map((record) => (type === "INT64" ? BigInt(record.answer) : record[name])),
  });
  const parquet = parquetWriteBuffer({
    columnData: [
      columns("STRING", "question"),
      columns("STRING", "subject"),
      { name: "choices", type: "JSON", data: asked.map(({ choices }) => choices) },
      columns("INT64", "answer"),
    ],
  });
  const files = {
    ...tables,
    "list.json.gz": gzipSync(JSON.stringify(asked)),
    "rows.parquet": Buffer.from(parquet),
  };
  for (const [name, bytes] of Object.entries(files)) {
    const path = join(folder, `mmlu_${name}`);
    writeFileSync(path, bytes);
    if (name === "wrapped.json") continue; // an object around a list is no file of a task
    expect([...choiceItems(await load(path))], name).toEqual(items);
  }
  const csv = join(folder, "boolq.csv");
  writeFileSync(csv, "question,passage,answer\nq,p,True\nq,p,false\n");
  expect([...choiceItems(await load(csv))].map(({ gold }) => gold)).toEqual([1, 0]);
  writeFileSync(csv, "question,passage,answer\nq,p,True,more\nq,p,maybe\n");
  expect(await message(csv)).toMatch(
    /2 of 2 records.*line 2: found 4 cells.*line 3, field "answer": found the text "maybe"/s,
  );
});
