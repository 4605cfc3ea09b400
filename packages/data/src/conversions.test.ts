import { expect, test } from "vitest";
import { iconv, jq, jqPath, otherForm, python } from "./conversions.ts";

const needed = "a list of objects with instruction, output and optionally input is needed";

test("a file in another form is one line, with the command that makes one if there is one", () => {
  expect(otherForm("it is text")).toBe(`it is text, ${needed}`);
  expect(otherForm("it is text", "cat")).toBe(`it is text, ${needed}; make one with: cat`);
  expect(otherForm("it is text", "cat", "make half of one")).toBe(`it is text, ${needed}; make half of one with: cat`);
});

test("commands write beside the file, under a name that is not its own, and quote what a shell would read", () => {
  expect(jq("data.json", ".a[]")).toBe("jq -c '.a[]' data.json > data.fixed.jsonl");
  expect(jq("/a b/it's.json", ".a")).toBe(String.raw`jq -c .a '/a b/it'\''s.json' > '/a b/it'\''s.fixed.jsonl'`);
  expect(python("d/t.csv", "csv, json", "print(1)")).toBe(
    `python3 -c "import csv, json, sys; print(1)" d/t.csv d/t.fixed.jsonl`,
  );
  expect(iconv("d/t.txt", "UTF-16LE")).toBe("iconv -f UTF-16LE -t UTF-8 d/t.txt > d/t.fixed.txt");
  expect(iconv("t", "UTF-32")).toBe("iconv -f UTF-32 -t UTF-8 t > t.fixed");
});

test("a field is named as jq needs it", () => {
  expect(["a", "_a1", "1a", "a b", "é", 'a"b', ""].map(jqPath)).toEqual([
    ".a",
    "._a1",
    '.["1a"]',
    '.["a b"]',
    '.["é"]',
    String.raw`.["a\"b"]`,
    '.[""]',
  ]);
});
