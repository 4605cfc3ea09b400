/** Data in other forms than a JSON list or JSON lines of records: read where that is safe, else named in one line that helps. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { InputError } from "@zerogate/core";
import { afterAll, describe, expect, test } from "vitest";
import { absent, sharedPath } from "../../core/test/shared.ts";
import { readRecords } from "./records.ts";

const scratch = mkdtempSync(join(tmpdir(), "zerogate-forms-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const record = (i: number) => ({ instruction: `Name item ${i}`, input: "", output: `Item ${i}.` });
const records = Array.from({ length: 12 }, (_, i) => record(i));
const lines = (items: readonly unknown[], indent?: number) =>
  items.map((item) => JSON.stringify(item, null, indent)).join("\n");

let files = 0;
function dataFile(content: string | Uint8Array, name = "data.json"): string {
  const path = join(scratch, `${files++}-${name}`);
  writeFileSync(path, content);
  return path;
}

/** The one problem of a file, without its path. */
async function problemOf(path: string, skipBad = false): Promise<string> {
  const error: unknown = await readRecords(path, { skipBad }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(InputError);
  const { problems, message } = error as InputError;
  expect(problems).toHaveLength(1);
  expect(message).not.toContain("\n");
  return (problems[0] ?? "").replace(`${path}: `, "").replace(`${path}, `, "");
}

const has = (...command: [string, ...string[]]): boolean => {
  try {
    execFileSync(command[0], command.slice(1), { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};
const python = process.env["ZEROGATE_PYTHON"];
const hasPandas = python !== undefined && has(python, "-c", "import pandas");
/** Tools by the first word of a command. */
const missing: Readonly<Record<string, string>> = {
  ...(has("jq", "--version") ? {} : { jq: " (skipped: jq is not on this machine)" }),
  ...(has("iconv", "--version") ? {} : { iconv: " (skipped: iconv is not on this machine)" }),
  ...(python === undefined ? { python3: " (skipped: set ZEROGATE_PYTHON to a Python)" } : {}),
  ...(hasPandas ? {} : { pandas: " (skipped: ZEROGATE_PYTHON names no Python with pandas)" }),
};

interface Other {
  readonly content: string | Uint8Array;
  readonly name?: string;
  readonly says: string;
  readonly tool?: "jq" | "iconv" | "python3" | "pandas";
  /** Questions in what the command makes; by default those of `records`. */
  readonly questions?: number;
}

const turns = (i: number) => [
  { role: "system", content: "Be short." },
  { role: "user", content: `Name item ${i}` },
  { role: "assistant", content: `Item ${i}.` },
];
const table = (separator: string, ...columns: string[]) =>
  [
    columns.join(separator),
    ...records.map((_, i) => [`"Name item ${i}"`, "", `"Item ${i}."`].join(separator)),
    "",
  ].join("\n");
const column = (key: "instruction" | "output") => records.map((item) => item[key]);
const numbered = (list: readonly string[]) => Object.fromEntries(list.entries());

const others: Readonly<Record<string, Other>> = {
  "an object around the list": {
    content: JSON.stringify({ version: "1", data: records }),
    says: 'it is an object around the list "data" (12), a list of objects with instruction, output',
    tool: "jq",
  },
  "the same, pretty-printed": {
    content: JSON.stringify({ data: records }, null, 1),
    says: 'it is an object around the list "data" (12)',
    tool: "jq",
  },
  "an object around the list under an odd name, in a file with an odd one": {
    content: JSON.stringify({ "my 'own' data": records }),
    name: "it's data.json",
    says: `it is an object around the list "my 'own' data" (12)`,
    tool: "jq",
  },
  "lists further inside": {
    content: JSON.stringify({ dataset: { train: records, test: records.slice(3) } }),
    says: 'it is an object with the lists "train" (12), "test" (9)',
    tool: "jq",
  },
  "a map of splits": {
    content: JSON.stringify({ train: records, validation: records.slice(6) }),
    says: 'it is an object with the lists "train" (12), "validation" (6)',
    tool: "jq",
  },
  "records under names": {
    content: JSON.stringify(Object.fromEntries(records.map((item, i) => [`item-${i}`, item]))),
    says: "it is an object with 12 records under names",
    tool: "jq",
  },
  "records in an envelope each": {
    content: lines(records.map((row, row_idx) => ({ row_idx, row }))),
    says: 'its 12 records have the keys row_idx, row, with the records in "row"',
    tool: "jq",
  },
  "columns in lists": {
    content: JSON.stringify({ instruction: column("instruction"), output: column("output") }),
    says: "it is a table by columns: instruction, output",
    tool: "jq",
  },
  "columns of pandas": {
    content: JSON.stringify({ instruction: numbered(column("instruction")), output: numbered(column("output")) }),
    says: "it is a table by columns: instruction, output",
    tool: "pandas",
  },
  "rows of pandas": {
    content: JSON.stringify({
      columns: ["instruction", "output"],
      index: records.map((_, i) => i),
      data: records.map(({ instruction, output }) => [instruction, output]),
    }),
    says: "it is a table of rows with the columns instruction, output",
    tool: "pandas",
  },
  CSV: {
    content: `\ufeff${table(",", "instruction", "input", "output")}`,
    name: "data.csv",
    says: "it is a table (CSV) with the columns instruction, input, output",
    tool: "python3",
  },
  TSV: {
    content: table("\t", "instruction", "input", "output"),
    name: "data.tsv",
    says: "it is a table (TSV) with the columns instruction, input, output",
    tool: "python3",
  },
  "CSV of other countries": {
    content: table(";", "instruction", "input", "output"),
    name: "data.csv",
    says: "it is a table (CSV with semicolons) with the columns",
    tool: "python3",
  },
  "conversations as OpenAI has them": {
    content: lines(records.map((_, i) => ({ messages: turns(i) }))),
    name: "data.jsonl",
    says: 'it holds conversations ("messages", lists of role and content)',
    tool: "jq",
  },
  "one conversation": {
    content: JSON.stringify({ messages: turns(0) }),
    says: 'it holds conversations ("messages", lists of role and content)',
    tool: "jq",
    questions: 1,
  },
  "conversations as ShareGPT has them": {
    content: JSON.stringify(
      records.map(({ instruction, output }, id) => ({
        id,
        conversations: [
          { from: "human", value: instruction },
          { from: "gpt", value: output },
        ],
      })),
    ),
    says: 'it holds conversations ("conversations", lists of from and value)',
    tool: "jq",
  },
  "prompt and completion": {
    content: lines(records.map(({ instruction, output }) => ({ prompt: instruction, completion: output }))),
    says: "its 12 records have the keys prompt, completion",
    tool: "jq",
  },
  "question and answer": {
    content: JSON.stringify(records.map(({ instruction, output }) => ({ Question: instruction, Answer: output }))),
    says: "its 12 records have the keys Question, Answer",
    tool: "jq",
  },
  "Dolly's fields": {
    content: lines(
      records.map(({ instruction, output }) => ({ instruction, context: "", response: output, category: "qa" })),
    ),
    says: "its 12 records have the keys instruction, context, response, category",
    tool: "jq",
  },
  "input and output alone": {
    content: JSON.stringify(records.map(({ instruction, output }) => ({ input: instruction, output }))),
    says: "its 12 records have the keys input, output",
    tool: "jq",
  },
  preferences: {
    content: lines(records.map(({ instruction, output }) => ({ prompt: instruction, chosen: output, rejected: "" }))),
    says: "its 12 records have the keys prompt, chosen, rejected",
    tool: "jq",
  },
  "texts alone": {
    content: lines(records.map(({ output }) => ({ text: output }))),
    says: "its 12 records have the key text, a list of objects with instruction, output",
  },
  "an empty object": { content: "{}", says: "its record has no keys" },
  "plain text": { content: "Name item 0\nItem 0.\n", says: 'it is text that begins with "Name item 0"' },
  YAML: { content: "- instruction: a\n  output: b\n", says: 'it is text that begins with "- instruction: a"' },
  "bytes of no kind": { content: Buffer.from([1, 2, 3, 200, 201, 10, 9]), says: "it is neither text nor of a kind" },
  "UTF-16": {
    content: Buffer.from(`\ufeff${JSON.stringify(records)}`, "utf16le"),
    says: "it is text in UTF-16: save it as UTF-8",
    tool: "iconv",
  },
  "UTF-16 without a mark": {
    content: Buffer.from(lines(records), "utf16le"),
    name: "data.jsonl",
    says: "it is text in UTF-16: save it as UTF-8",
    tool: "iconv",
  },
  "big-endian UTF-16 without a mark": {
    content: Buffer.from(lines(records), "utf16le").swap16(),
    name: "data.jsonl",
    says: "it is text in UTF-16: save it as UTF-8",
    tool: "iconv",
  },
  "UTF-32": {
    content: Buffer.from(Uint32Array.from(`\ufeff${lines(records)}`, (char) => char.codePointAt(0) ?? 0).buffer),
    name: "data.jsonl",
    says: "it is text in UTF-32: save it as UTF-8",
    tool: "iconv",
  },
  "Latin-1": {
    content: Buffer.from(JSON.stringify([...records, { instruction: "é", output: "ß" }], null, 1), "latin1"),
    says: "line 63 holds the byte 0xE9, which is not UTF-8",
    tool: "iconv",
    questions: 13,
  },
  parquet: { content: Buffer.from(`PAR1${"\x15".repeat(200)}`), says: "it is a parquet file: it is not read" },
  "an Arrow file": { content: Buffer.from(`ARROW1\0\0${"\x15".repeat(200)}`), says: "it is an Arrow file" },
  "a gzip file": { content: gzipSync(lines(records)), says: "it is a gzip file: unpack it with gunzip first" },
  "a Zstandard file": { content: Buffer.from("28b52ffd2000010000", "hex"), says: "it is a Zstandard file: unpack it" },
  "a zip file": { content: Buffer.from(`PK\x03\x04${"\0".repeat(26)}data.json`), says: "it is a zip archive" },
  "a spreadsheet": {
    content: Buffer.from(`PK\x03\x04${"\0".repeat(26)}[Content_Types].xml`),
    says: "it is an office document",
  },
  "a Git LFS pointer": {
    content: `version https://git-lfs.github.com/spec/v1\noid sha256:${"5".repeat(64)}\nsize 22773955\n`,
    says: "it is a Git LFS pointer",
  },
  "a web page": { content: "<!doctype html><title>Sign in</title>", says: 'it is a web page ("Sign in")' },
  "a server's answer": { content: '{"error":"Invalid username or password."}', says: "it is a server's answer" },
};

describe("a file in another form is named in one line, also where bad records are skipped [T-C7, T-C6, T-case24]", () => {
  test.each(Object.entries(others))("%s", async (_, { content, name, says }) => {
    const path = dataFile(content, name);
    const problem = await problemOf(path);
    expect(problem).toContain(says);
    expect(await problemOf(path, true)).toBe(problem);
  });
});

describe("the command that such a line offers makes the records [T-C7, T-C6]", () => {
  for (const [what, { content, name, tool, questions = records.length }] of Object.entries(others)) {
    if (tool === undefined) continue;
    const reason = missing[tool] ?? "";
    test.skipIf(reason !== "")(`${what}${reason}`, async () => {
      const path = dataFile(content, name);
      const command = / (jq|python3|iconv) [^]*$/.exec(await problemOf(path))?.[0] ?? "";
      execFileSync("sh", ["-c", `python3() { "$PYTHON" "$@"; }; ${command}`], {
        env: { ...process.env, PYTHON: python },
      });
      const made = readdirSync(scratch).find(
        (file) => file.startsWith(`${basename(path).split("-")[0]}-`) && /\.fixed\./.test(file),
      );
      const { records: read } = await readRecords(join(scratch, made ?? "nothing was made"));
      expect(read.slice(0, records.length)).toEqual(records.slice(0, questions));
      expect(read).toHaveLength(questions);
    });
  }
});

test("records one after another are read, pretty-printed, without line breaks between, or one alone [T-C7, T-case24]", async () => {
  for (const content of [
    lines(records, 2),
    lines(records, 2).replaceAll("}\n{", "}{"),
    records.map((r) => JSON.stringify(r)).join(""),
  ]) {
    expect((await readRecords(dataFile(content))).records).toEqual(records);
  }
  for (const content of [
    JSON.stringify(record(0), null, 2),
    `\ufeff\n${JSON.stringify(record(0), null, 2)}`,
    JSON.stringify(record(0)),
  ]) {
    expect((await readRecords(dataFile(content))).records).toEqual([record(0)]);
  }
});

test("what breaks a JSON list is named with record and line [T-C5, T-C7]", async () => {
  const pretty = JSON.stringify(records, null, 1);
  const faults: [content: string, problem: string][] = [
    [`${pretty.slice(0, -2)},\n]`, "a comma follows the last record (line 62)"],
    [pretty.slice(0, -30), "record 11 (line 57) is cut off: the file ends inside it, copy it again"],
    [pretty.slice(0, -2), "the list is not closed after 12 records: the file was cut off, copy it again"],
    [pretty.replace("},", "}"), "no comma stands before record 1 (line 7)"],
    [pretty.replace("},", "},,"), "too many commas stand before record 1 (line 7)"],
    [pretty.replace('"Item 4."', "'Item\u001b[31m 4.'"), "record 4 (line 22) is not JSON (Unexpected token "],
    [`${pretty}\n${pretty}`, "more follows the list that ends in line 62, one list is needed"],
    [lines(records, 1).replaceAll("}\n{", "},\n{"), "record 1 (line 6) follows a comma: put [ in front"],
    [`${lines(records, 1)}\n}`, "line 61 closes a bracket that nothing opened"],
    [lines(records, 1).slice(0, -9), "record 11 (line 56) is cut off: the file ends inside it, copy it again"],
  ];
  for (const [content, problem] of faults) {
    const found = await problemOf(dataFile(content));
    expect(found.startsWith(problem), found).toBe(true);
    expect(found).not.toContain("\u001b");
  }
});

test("a bad first line does not make another form of a file of lines [T-C7]", async () => {
  for (const first of [
    '{"instruction": "a",',
    '{"instruction": a}',
    '{"a": 1}}',
    "# a comment",
    '{"instruction": "a',
  ]) {
    const path = dataFile(`${first}\n${lines(records)}`);
    const { records: read, problems } = await readRecords(path, { skipBad: true });
    expect(read).toEqual(records);
    expect(problems).toMatchObject([{ line: 1, count: 1 }]);
  }
});

test("an object in one line that is longer than any record is read as a whole [T-C7]", async () => {
  const wrapped = JSON.stringify({ data: Array.from({ length: 300_000 }, (_, i) => record(i)) });
  expect(wrapped.length).toBeGreaterThan(16_000_000);
  expect(await problemOf(dataFile(wrapped))).toContain('it is an object around the list "data" (300000)');
});

test("a long text without a line of JSON is given up early [T-C7]", async () => {
  const path = dataFile(`${"a,b\n".repeat(1000)}${lines(records)}\n`);
  expect(await problemOf(path)).toContain("it is a table (CSV) with the columns a, b");
  const short = await readRecords(dataFile(`${"a,b\n".repeat(999)}${lines(records)}\n`), { skipBad: true });
  expect(short.skipped).toBe(999);
});

describe("NaN and Infinity, which Python writes for empty cells [T-C5]", () => {
  const nan = (field: string, value: string, items = records) =>
    items.map((item) => JSON.stringify({ ...item, [field]: "HERE" }).replace('"HERE"', value));

  test.each(["NaN", "Infinity", "-Infinity"])(
    "%s in a field is named with record, field and what to write [T-case19]",
    async (value) => {
      const inList = dataFile(`[${nan("input", value).join(",\n")}]`);
      const problem = `field "input": found ${value}, which is not JSON, expected a text or nothing (write null or "" where a cell was empty)`;
      expect(await problemOf(inList)).toBe(`records 0, 1, 2, 3, 4 and 7 more, ${problem}`);
      expect(await problemOf(dataFile(nan("input", value).slice(0, 2).join("\n")))).toBe(`lines 1 and 2, ${problem}`);
      const one = dataFile(
        `[${[...nan("output", value).slice(0, 1), ...records.map((r) => JSON.stringify(r))].join(",")}]`,
      );
      expect(await problemOf(one)).toBe(`record 0, field "output": found ${value}, which is not JSON, expected a text`);
      const { skipped, records: read } = await readRecords(one, { skipBad: true });
      expect([skipped, read.length]).toEqual([1, 12]);
    },
  );

  test.each(["NaN", "Infinity", "-Infinity", '[NaN, {"a": -Infinity}]'])(
    "%s in a field that is not read does not matter",
    async (value) => {
      for (const content of [`[${nan("score", value).join(",")}]`, nan("score", value).join("\n")]) {
        expect((await readRecords(dataFile(content))).records).toEqual(records);
      }
    },
  );

  test("the words in texts are texts", async () => {
    const words = ["NaN", 'say \\"NaN\\" \\\\', "Infinity: NaN, -Infinity"].map((text) => ({
      ...record(0),
      input: text,
      score: 1,
    }));
    const content = `[${[...words.map((item) => JSON.stringify(item)), ...nan("score", "NaN")].join(",")}]`;
    expect((await readRecords(dataFile(content))).records.map(({ input }) => input).slice(0, 3)).toEqual(
      words.map(({ input }) => input),
    );
    for (const bad of ["nan", "NaNs", "+Infinity", "-NaN", "- Infinity", "xNaN"]) {
      expect(await problemOf(dataFile(`[${nan("score", bad).join(",")}]`)), bad).toMatch(
        /record 0 \(line 1\) is not JSON/,
      );
    }
  });
});

test("a list of brackets is refused before it fills the memory [T-B7]", async () => {
  expect(await problemOf(dataFile("[".repeat(2000)))).toBe("Brackets are nested more than 1000 deep");
  expect(await problemOf(dataFile(`{"a":${"[".repeat(200_000)}`))).toBe("Brackets are nested more than 1000 deep");
  const deep = JSON.stringify(record(0)).replace("}", `,"x":${"[".repeat(60_000)}${"]".repeat(60_000)}}`);
  expect(await problemOf(dataFile(`${lines(records)}\n${deep}`))).toMatch(/^line 13: found .* is not JSON/);
});

const nan = "cases/19-nan-in-json/input/data.json";
test.skipIf(absent(nan) !== "")(`the NaN of case 19 is one line${absent(nan)} [T-case19]`, async () => {
  const problem = await problemOf(dataFile(readFileSync(sharedPath(nan))));
  expect(problem).toMatch(/^records 0, 1, 2, 3, 4 and 7 more, field "input": found NaN.*write null/);
});

const whole = "cases/24-whole-file-not-json-lines/input";
test.skipIf(absent(whole) !== "")(`each file of case 24 is one line${absent(whole)} [T-case24]`, async () => {
  for (const [name, says] of [
    ["split.json", 'it is an object around the list "train" (12)'],
    ["wrapped.json", 'it is an object around the list "data" (12)'],
    ["wrapped_pretty.json", 'it is an object around the list "data" (12)'],
    ["table.csv", "it is a table (CSV) with the columns instruction, input, output"],
  ] as const) {
    expect(await problemOf(dataFile(readFileSync(sharedPath(join(whole, name))), name))).toContain(says);
  }
});

const pretty = "cases/24-whole-file-not-json-lines/input/one_pretty.json";
test.skipIf(absent(pretty) !== "")(`the one pretty object of case 24 is read${absent(pretty)} [T-case24]`, async () => {
  expect((await readRecords(sharedPath(pretty))).records).toEqual([record(0)]);
});

const dropped = "cases/23-fields-dropped-silently/input/data.json";
test.skipIf(absent(dropped) !== "")(`the fields of case 23 are counted${absent(dropped)} [T-case23]`, async () => {
  const { unread, records: read } = await readRecords(sharedPath(dropped));
  expect(unread).toEqual(["history", "system"].map((name) => ({ name, records: read.length })));
});
