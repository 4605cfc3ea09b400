import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openByteSource } from "../byte_source.ts";
import type { DataItem } from "../data_item.ts";
import { tableRows } from "./csv.ts";
import { separatorOf, tableForm } from "./separator.ts";

const scratch = mkdtempSync(join(tmpdir(), "zerogate-csv-"));
afterAll(() => rmSync(scratch, { recursive: true }));

let files = 0;
async function rowsOf(content: string | Uint8Array, separator = ","): Promise<DataItem[]> {
  const path = join(scratch, `${files++}.csv`);
  writeFileSync(path, content);
  const items: DataItem[] = [];
  for await (const batch of tableRows(await openByteSource(path), separator)) items.push(...batch);
  return items;
}
const valuesOf = async (content: string | Uint8Array, separator?: string) =>
  (await rowsOf(content, separator)).map((item) => ("value" in item ? item.value : item.fault));

describe("rows of a table [D-file-csv]", () => {
  test("cells may be quoted, hold line breaks, separators and doubled quotes, and be empty", async () => {
    const text = '\ufeffa,b\r\n1,"two\nlines, and a ""quote"""\r\n\r\n,""\r\n';
    expect(await valuesOf(text)).toEqual([
      { a: "1", b: 'two\nlines, and a "quote"' },
      { a: "", b: "" },
    ]);
    expect(await valuesOf("a\tb\n1,2\t3\n", "\t")).toEqual([{ a: "1,2", b: "3" }]);
  });

  test("places are the lines in which rows begin", async () => {
    const items = await rowsOf('a,b\n1,2\n"x\ny\r\nz",3\n\n4,5\n6\n');
    expect(items.map(({ place }) => place.line)).toEqual([2, 3, 7, 8]);
  });

  test("characters of several bytes survive the cuts of a file that is read in pieces", async () => {
    const rows = Array.from({ length: 40_000 }, (_, i) => ({ a: `ä€😀${i}`, b: "ß" }));
    const text = `a,b\n${rows.map(({ a, b }) => `${a},${b}`).join("\n")}`;
    expect(await valuesOf(text)).toEqual(rows);
  });

  test("columns may be named as what objects inherit; those without a name are numbered", async () => {
    const [row] = await valuesOf(",__proto__,constructor\n0,1,2\n");
    expect(Object.entries(row as object)).toEqual([
      ["Unnamed: 0", "0"],
      ["__proto__", "1"],
      ["constructor", "2"],
    ]);
  });

  test("a row of another length is a fault of its own", async () => {
    expect(await valuesOf("a,b\n1\n1,2\n1,2,3\n")).toEqual([
      { kind: "number of cells", found: "1 cells", expected: "2, one for each name of the header" },
      { a: "1", b: "2" },
      { kind: "number of cells", found: "3 cells", expected: "2, one for each name of the header" },
    ]);
  });
});

describe("what breaks a table is named with its line [D-file-csv, D-file-bombs]", () => {
  test.each([
    ['a,b\n1,"open\n2,3\n', /^a quote that is opened in line \d is never closed/],
    ['a,b\n1,"x"y\n', /^line 2 has a quote inside a quoted text, write it twice/],
    ['a,b\n1,x"y\n', /^line 2 has a quote inside a text that does not begin with one/],
    ["a,b,a\n1,2,3\n", "its header names a more than once, one column each is needed"],
    [Buffer.from("a,b\n1,2\n3,\xe9\n", "latin1"), /^line 3 holds the byte 0xE9, which is not UTF-8: save the file/],
    [Buffer.concat([Buffer.from("a,b\n1,2\n3,"), Buffer.from([0xe2, 0x82])]), /^line 3 holds the byte 0xE2, which is/],
    [`${"a,".repeat(1000)}b\n`, "its header has 1001 names, at most 1000 are read"],
    [Array.from({ length: 1_000_000 }, (_, i) => i).join(","), /its header has 1000000 names, at most 1000/],
  ])("%#", async (content, message) => {
    await expect(rowsOf(content)).rejects.toThrow(message);
  });
});

test("the separator is that of the name, else the one a header has most of, outside of quotes", () => {
  expect(separatorOf("d.tsv", "a,b")).toBe("\t");
  expect(separatorOf("d.csv", "a,b;c\n")).toBe(",");
  expect(separatorOf("d.csv.gz", '"a,b,c";d\n')).toBe(";");
  expect(separatorOf("d.csv", "a\tb\n")).toBe("\t");
  expect(separatorOf("d.csv", "a\n")).toBe(",");
  expect(separatorOf("d.txt", "a,b\n1,2\n")).toBe(",");
  for (const name of ["d.json", "d.jsonl.gz", "d.ndjson"]) expect(separatorOf(name, "a,b\n1,2\n")).toBeUndefined();
  expect(separatorOf("d.txt", "Hello, world!\nI am, too")).toBeUndefined();
  expect(tableForm([",a", "0,1"])?.columns).toEqual(["", "a"]);
});
