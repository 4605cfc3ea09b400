import { describeFile } from "@zerogate/core/formats";
import { expect, test } from "vitest";
import { describeForeignBytes, describeForeignText } from "./foreign_text.ts";

const needed = "a list of objects with instruction, output and optionally input is needed";
const named = (...lines: string[]) => describeForeignText("d/data.json", lines);

test("a header of names and a second line with the same separator are a table of its kind", () => {
  const table = (name: string, columns: string, file: string) =>
    `it is a table (${name}) with the columns ${columns}, which is read from a file whose name says so: rename it to ${file}`;
  expect(named('"a", b', "1,2")).toBe(table("CSV", "a, b", "data.csv"));
  expect(named("a\tb", "1\t2")).toBe(table("TSV", "a, b", "data.tsv"));
  expect(named("a;b (c/d)-.", "1;2")).toBe(table("CSV with semicolons", 'a, "b (c/d)-."', "data.csv"));
});

test("other texts are text, quoted from the begin; bytes are neither", () => {
  const text = (begin: string) => `it is text that begins with ${JSON.stringify(begin)}, ${needed}`;
  for (const header of ["a,b", "a", "Hello, world!", ",", `a,${"b".repeat(41)}`])
    expect(named(header)).toBe(text(header));
  expect(named("a,b", "no comma")).toBe(text("a,b"));
  expect(named("word", "1,2")).toBe(text("word"));
  expect(named("a\u00a0b\tc")).toBe(text("a\u00a0b\tc"));
  expect(named("a,b!", "1,2")).toBe(text("a,b!"));
  for (const bytes of ["a\ufffd", "a\u0001b"])
    expect(named(bytes)).toBe(`it is neither text nor of a kind that is known, ${needed}`);
});

const bytesNamed = (head: Buffer) => {
  const described = describeFile(head, head.length);
  if (!described) throw new Error("the bytes are of no known kind");
  const sentence = describeForeignBytes("d/data.bin", described, head);
  return sentence.startsWith(described.problem) ? sentence.slice(described.problem.length) : sentence;
};
const pandas = (name: string) =>
  `: python3 -c "import pandas, sys; pandas.${name}(sys.argv[1]).to_json(sys.argv[2], orient='records', lines=True)" d/data.bin d/data.fixed.jsonl`;

test("tables and documents come with the command of pandas, archives without one", () => {
  expect(bytesNamed(Buffer.from(`ARROW1\0\0${"\x15".repeat(200)}`))).toBe(pandas("read_feather"));
  expect(bytesNamed(Buffer.from(`PK\x03\x04${"\0".repeat(26)}[Content_Types].xml`))).toBe(pandas("read_excel"));
  expect(bytesNamed(Buffer.from("1f8b0800000000000003", "hex"))).toBe("");
});

test("of UTF-16 without a mark iconv is given the order, with one it is not", () => {
  const iconv = (encoding: string) => `: iconv -f ${encoding} -t UTF-8 d/data.bin > d/data.fixed.bin`;
  const text = '{"instruction": "a"}';
  const little = (content: string) => Buffer.from(content, "utf16le");
  expect(bytesNamed(little(`\ufeff${text}`))).toBe(iconv("UTF-16"));
  expect(bytesNamed(little(`\ufeff${text}`).swap16())).toBe(iconv("UTF-16"));
  expect(bytesNamed(little(text))).toBe(iconv("UTF-16LE"));
  expect(bytesNamed(little(text).swap16())).toBe(iconv("UTF-16BE"));
});
