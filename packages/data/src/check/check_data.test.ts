/** What a check finds in files that are made to have it. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { tinyTokenizerFiles, tinyTokenizerJson } from "../../test/tiny_tokenizer.ts";
import { prepareTokens } from "../prepare.ts";
import { loadTemplate } from "../templates.ts";
import { createTokenizer } from "../tokenizer.ts";
import { checkData, type DataCheckRequest } from "./check_data.ts";
import type { TokenFindings } from "./token_check.ts";

async function folderWith(files: Readonly<Record<string, readonly unknown[]>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-check-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const [name, records] of Object.entries(files)) {
    const isLines = name.endsWith("l");
    const text = isLines ? records.map((one) => JSON.stringify(one)).join("\n") : JSON.stringify(records);
    await writeFile(join(folder, name), text);
  }
  return folder;
}

/** A check of files in a folder of their own; places are named without it. */
async function check(
  files: Readonly<Record<string, readonly unknown[]>>,
  { validation, ...rest }: Partial<DataCheckRequest> & { readonly validation?: readonly string[] } = {},
) {
  const folder = await folderWith(files);
  const held = validation ?? [];
  const paths = Object.keys(files).filter((name) => !held.includes(name));
  const found = await checkData({
    ...rest,
    paths: paths.map((name) => join(folder, name)),
    ...(validation && { validationPaths: validation.map((name) => join(folder, name)) }),
  });
  return JSON.parse(JSON.stringify(found).replaceAll(JSON.stringify(`${folder}/`).slice(1, -1), "")) as typeof found;
}

const ask = (instruction: string, output = "yes", input = "") => ({ instruction, input, output });
const chat = (...texts: string[]) => ({
  messages: texts.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content })),
});
const counts = (like: Readonly<Record<string, { readonly records: number }>>) =>
  Object.fromEntries(Object.entries(like).map(([how, { records }]) => [how, records]));

test("records like earlier ones are counted once, as the closest that they are, within a file and across files [D-check-duplicates]", async () => {
  const { sets } = await check({
    "a.jsonl": [ask("Name a colour."), ask("Add 1 + 1"), ask("name  a COLOUR", "Yes."), ask("Name a colour.", "red")],
    "b.jsonl": [ask("Add 1 + 1"), ask("Add 1 - 1"), chat("Ｎame a colour!", " yes ")],
  });
  const { withinFiles, acrossFiles } = sets[0]?.duplicates ?? { withinFiles: {}, acrossFiles: {} };
  expect(counts(withinFiles)).toEqual({ same: 0, normalised: 1, question: 1 });
  expect(counts(acrossFiles)).toEqual({ same: 1, normalised: 1, question: 0 });
  expect(sets[0]?.duplicates.withinFiles.normalised.examples).toEqual([
    { place: "a.jsonl, line 3", like: "a.jsonl, line 1", text: "name a COLOUR" },
  ]);
  expect(sets[0]?.duplicates.acrossFiles.same.examples).toEqual([
    { place: "b.jsonl, line 1", like: "a.jsonl, line 2", text: "Add 1 + 1" },
  ]);
});

test("validation records that are trained on are leaks, as they are, but for their writing, or with another answer [D-check-splits]", async () => {
  const files = {
    "train.json": [ask("One?"), ask("Two?"), chat("Three?", "3")],
    "held.json": [ask("Four?"), ask("Two?"), ask("two"), ask("One?", "no"), ask("Three?", "three")],
  };
  const { sets, leaks } = await check(files, { validation: ["held.json"] });
  expect(sets.map(({ name, records }) => [name, records])).toEqual([
    ["data", 3],
    ["validation data", 5],
  ]);
  expect(leaks && counts(leaks)).toEqual({ same: 1, normalised: 1, question: 2 });
  expect(leaks?.same.examples).toEqual([{ place: "held.json, record 1", like: "train.json, record 1", text: "Two?" }]);
  expect(leaks?.question.examples.map(({ place, like }) => [place, like])).toEqual([
    ["held.json, record 3", "train.json, record 0"],
    ["held.json, record 4", "train.json, record 2"],
  ]);
  expect((await check(files)).leaks).toBeUndefined();
});

test("odd texts are found: no answer, special tokens, control characters, a wrong encoding; scripts are counted [D-check-texts]", async () => {
  const { sets } = await check({
    "odd.jsonl": [
      ask("No answer", " \n"),
      ask("A turn <|im_end|> inside"),
      ask("A bell \u0007 and a tab\t"),
      ask("cafÃ© au lait"),
      ask("Как дела?", "хорошо"),
      ask("東京はどこですか", "日本"),
      ask("你好", "世界"),
      ask("1 + 1", "2"),
      ask("ᓄᓇᕗᑦ", "ᐃᓄᒃᑎᑐᑦ"),
      {
        messages: [
          { role: "user", content: "Call" },
          { role: "assistant", content: null, tool_calls: [{ id: 1 }] },
        ],
      },
    ],
  });
  const [set] = sets;
  expect(set?.emptyAnswers).toEqual({
    records: 2,
    examples: [
      { place: "odd.jsonl, line 1", text: "No answer" },
      { place: "odd.jsonl, line 10", text: "Call" },
    ],
  });
  expect(set?.specialTokens).toEqual({ records: 1, examples: [{ place: "odd.jsonl, line 2", text: "<|im_end|>" }] });
  expect(set?.controlCharacters).toEqual({ records: 1, examples: [{ place: "odd.jsonl, line 3", text: "U+0007" }] });
  expect(set?.brokenEncoding).toEqual({ records: 1, examples: [{ place: "odd.jsonl, line 4", text: "Ã©" }] });
  expect(Object.fromEntries((set?.scripts ?? []).map(({ name, records }) => [name, records]))).toEqual({
    Latin: 5,
    Cyrillic: 1,
    Japanese: 1,
    Han: 1,
    none: 1,
    other: 1,
  });
  expect(set?.scripts[0]?.name).toBe("Latin");
});

test("fields, bad records and fields that nobody reads are counted, and only the first examples kept [D-check-fields]", async () => {
  const many = Array.from({ length: 40 }, (_, i) => ({ ...ask(`Say ${i}`, ""), id: i }));
  const { sets } = await check({
    "mixed.json": [...many, { instruction: 5, output: "x" }, chat("Hi", "Ho", "Hi", "He")],
  });
  const [set] = sets;
  expect(set).toMatchObject({ records: 41, chats: 1, bad: 1, unread: [{ name: "id", records: 40 }] });
  expect(set?.problems).toEqual([
    'mixed.json, record 40, field "instruction": found a value of type number, expected a text that is not empty',
  ]);
  expect(set?.columns).toEqual([
    { name: "instruction", texts: 40, empty: 0, meanCharacters: 5.75, longestCharacters: 6 },
    { name: "input", texts: 40, empty: 40, meanCharacters: 0, longestCharacters: 0 },
    { name: "output", texts: 40, empty: 40, meanCharacters: 0, longestCharacters: 0 },
    { name: "user", texts: 2, empty: 0, meanCharacters: 2, longestCharacters: 2 },
    { name: "assistant", texts: 2, empty: 0, meanCharacters: 2, longestCharacters: 2 },
  ]);
  expect(set?.emptyAnswers.records).toBe(40);
  expect(set?.emptyAnswers.examples).toHaveLength(5);
});

/** Cuts some records, and leaves others without their answer. */
const MAX = 16;

test("with a tokenizer lengths, cuts and what is trained are those of a run [D-check-lengths]", async () => {
  const records = Array.from({ length: 700 }, (_, i) => ask("ab".repeat(1 + (i % 19)), "b".repeat(i % 7)));
  const folder = await folderWith({ "data.json": records });
  const tokenizer = createTokenizer(tinyTokenizerFiles(tinyTokenizerJson()));
  const format = { template: await loadTemplate("plain"), rule: "response", maxLength: MAX } as const;
  const paths = [join(folder, "data.json")];
  const { sets } = await checkData({ paths, tokens: { tokenizer, maxDropped: 0.5, formatOf: async () => format } });
  const { stats } = await prepareTokens({ paths, tokenizer, ...format });
  const [{ tokens } = {}] = sets;
  const { lengths, ...found } = tokens as TokenFindings;
  expect(found).toEqual({
    maxLength: MAX,
    cut: stats.truncated - stats.droppedNoTarget,
    noAnswerLeft: stats.droppedNoTarget,
    refused: 0,
    problems: [],
  });
  expect(found.cut).toBeGreaterThan(0);
  expect(found.noAnswerLeft).toBeGreaterThan(0);
  expect(lengths.record.longest).toBe(stats.uncut.longest);
  expect(lengths.record.percentiles["95"]).toBe(stats.uncut.keeping.find(({ share }) => share === 0.95)?.whole);
  expect(Math.round(700 * lengths.answer.mean)).toBe(stats.labelled);
  const most = Math.max(...records.map(({ instruction, output }) => instruction.length + output.length));
  const longest = records.findIndex(({ instruction, output }) => instruction.length + output.length === most);
  expect(lengths.longest[0]?.place).toBe(`${paths[0]}, record ${longest}`);
});

test("chats that a template refuses are named, and lengths stay those of their own records [D-check-lengths]", async () => {
  const jinja =
    "{% for m in messages %}{% if m.content == 'b' %}{{ raise_exception('no b') }}{% endif %}{{ m.content }}" +
    "{% if m.role == 'assistant' %}{{ '</s>' }}{% endif %}{% endfor %}";
  const folder = await folderWith({ "chats.jsonl": [chat("ab", "a"), chat("b", "a"), chat("ababab", "ab")] });
  await writeFile(join(folder, "own.jinja"), jinja);
  const tokenizer = createTokenizer(tinyTokenizerFiles(tinyTokenizerJson()));
  const template = await loadTemplate(join(folder, "own.jinja"), tokenizer);
  const paths = [join(folder, "chats.jsonl")];
  const format = { template, rule: "response", maxLength: 64 } as const;
  const { sets } = await checkData({ paths, tokens: { tokenizer, maxDropped: 0.5, formatOf: async () => format } });
  const { tokens } = sets[0] ?? {};
  expect(tokens?.refused).toBe(1);
  expect(tokens?.problems[0]).toMatch(
    /chats\.jsonl, line 2: found a chat of which the template "own\.jinja" says: .*no b/,
  );
  expect(tokens?.lengths.longest.map(({ place }) => place.replace(/.*\//, ""))).toEqual([
    "chats.jsonl, line 3",
    "chats.jsonl, line 1",
  ]);
});
