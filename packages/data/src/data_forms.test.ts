/** Data in other forms than a JSON list or JSON lines of records: read if that is safe, else named in one line that helps. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { InputError } from "@zerogate/core";
import { afterAll, describe, expect, test } from "vitest";
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

/** What is read as it is. */
const forms: Readonly<Record<string, { readonly content: string | Uint8Array; readonly name?: string }>> = {
  "an object around the list": {
    content: JSON.stringify({ version: "1", data: records }),
  },
  "the same, pretty-printed": {
    content: JSON.stringify({ data: records }, null, 1),
  },
  "an object around the list under an odd name, in a file with an odd one": {
    content: JSON.stringify({ "my 'own' data": records }),
    name: "it's data.json",
  },
  CSV: {
    content: `\ufeff${table(",", "instruction", "input", "output")}`,
    name: "data.csv",
  },
  TSV: {
    content: table("\t", "instruction", "input", "output"),
    name: "data.tsv",
  },
  "CSV of other countries": {
    content: table(";", "instruction", "input", "output"),
    name: "data.csv",
  },
  "prompt and completion": {
    content: lines(records.map(({ instruction, output }) => ({ prompt: instruction, completion: output }))),
  },
  "question and answer": {
    content: JSON.stringify(records.map(({ instruction, output }) => ({ Question: instruction, Answer: output }))),
  },
  "Dolly's fields": {
    content: lines(
      records.map(({ instruction, output }) => ({ instruction, context: "", response: output, category: "qa" })),
    ),
  },
  "input and output alone": {
    content: JSON.stringify(records.map(({ instruction, output }) => ({ input: instruction, output }))),
  },
  "a gzip file": { content: gzipSync(lines(records)) },
  "a TSV without a name that says so": { content: table("\t", "instruction", "input", "output"), name: "data.txt" },
  "CSV in gzip": { content: gzipSync(table(",", "instruction", "input", "output")), name: "data.csv.gz" },
};

describe("forms that are read as they are [T-C7, T-case24]", () => {
  test.each(Object.entries(forms))("%s", async (_, { content, name }) => {
    expect((await readRecords(dataFile(content, name))).records).toEqual(records);
  });
});

const others: Readonly<Record<string, Other>> = {
  "lists further inside": {
    content: JSON.stringify({ dataset: { train: records, test: records.slice(3) } }),
    says: 'it is an object with the lists "dataset.train" (12), "dataset.test" (9)',
  },
  "a map of splits": {
    content: JSON.stringify({ train: records, validation: records.slice(6) }),
    says: 'it is an object with the lists "train" (12), "validation" (6)',
  },
  "records under names": {
    content: JSON.stringify(Object.fromEntries(records.map((item, i) => [`item-${i}`, item]))),
    says: "it is an object with 12 records under names",
    tool: "jq",
  },
  "records in an envelope each": {
    content: lines(records.map((row, row_idx) => ({ row_idx, row }))),
    says: "its 12 records have the keys row_idx, row, instruction and output are needed: if they are",
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
  preferences: {
    content: lines(records.map(({ instruction, output }) => ({ prompt: instruction, chosen: output, rejected: "" }))),
    says: "its 12 records have the keys prompt, chosen, rejected",
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
  parquet: {
    content: Buffer.from(`PAR1${"\x15".repeat(200)}`),
    says: "it is a parquet file without its end: it was cut off, copy it again",
  },
  "an Arrow file": { content: Buffer.from(`ARROW1\0\0${"\x15".repeat(200)}`), says: "it is an Arrow file" },
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
  "a table in a file of another name": {
    content: table(",", "instruction", "input", "output"),
    says: "it is a table (CSV) with the columns instruction, input, output, which is read from a file whose name says so",
  },
};

describe("a file in another form is named in one line, also if bad records are skipped [T-C7, T-C6, T-case24]", () => {
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

describe("the flag or name that such a line offers reads the records [T-C7]", () => {
  test.each(["records in an envelope each", "preferences"])("%s", async (what) => {
    const path = dataFile(others[what]?.content ?? "");
    const flag = / --fields (.*)$/.exec(await problemOf(path))?.[1] ?? "";
    const fields = Object.fromEntries(flag.split(" ").map((part) => part.replaceAll("'", "").split("=")));
    expect((await readRecords(path, { fields })).records).toEqual(records);
  });

  test.each(["a map of splits", "lists further inside"])("%s", async (what) => {
    const path = dataFile(others[what]?.content ?? "");
    const name = / one is needed: give (".*")$/.exec(await problemOf(path))?.[1] ?? '""';
    expect((await readRecords(JSON.parse(name) as string)).records).toEqual(records);
    await expect(readRecords(`${path}#rest`)).rejects.toThrow(/no list of the name "rest" is in it, it has "/);
  });
});
