/** Records one after another, in one line or broken: read if that is safe, else named with record and line. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
  expect((await readRecords(dataFile(wrapped))).records).toHaveLength(300_000);
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
test.skipIf(absent(whole) !== "")(`each file of case 24 is read${absent(whole)} [T-case24]`, async () => {
  for (const name of ["split.json", "wrapped.json", "wrapped_pretty.json", "table.csv"]) {
    expect((await readRecords(dataFile(readFileSync(sharedPath(join(whole, name))), name))).records).toHaveLength(12);
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
