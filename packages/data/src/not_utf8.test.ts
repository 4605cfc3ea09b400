import { expect, test } from "vitest";
import { firstNotUtf8 } from "./not_utf8.ts";

const of = (...parts: (string | number)[]) =>
  firstNotUtf8(
    Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.from([part])))),
  );

test("text in UTF-8 holds none, replacement characters and all", () => {
  for (const text of ["", "abc", "é\n漢\n😀", "\ufffd\n"]) expect(of(text)).toBeUndefined();
});

test("the first byte that is not UTF-8 is named with its line, from 1", () => {
  expect(of("a", 0xe9, "b")).toEqual({ byte: "0xE9", line: 1 });
  expect(of("a\nb\n", 0x80)).toEqual({ byte: "0x80", line: 3 });
  expect(of("é\n😀", 0xff, "\n", 0xfe)).toEqual({ byte: "0xFF", line: 2 });
  expect(of("a\n\n", 0xc3, "\nb")).toEqual({ byte: "0xC3", line: 3 });
  expect(of(0x80)).toEqual({ byte: "0x80", line: 1 });
});

test("a replacement character that is spelled is skipped, with anything after it", () => {
  expect(of("\ufffd", 0xe9)).toEqual({ byte: "0xE9", line: 1 });
  expect(of("a\ufffdé\ufffd", 0xc3, "x")).toEqual({ byte: "0xC3", line: 1 });
  expect(of(0xef, "x")).toEqual({ byte: "0xEF", line: 1 });
  expect(of(0xef, 0xbf, "x")).toEqual({ byte: "0xEF", line: 1 });
});

test("a character cut off at the end of the text is named by its first byte", () => {
  expect(of("ab", 0xf0, 0x9f)).toEqual({ byte: "0xF0", line: 1 });
});
