import { expect, test } from "vitest";
import { createMatcher } from "./patterns.ts";

const regex = (Regex: string, text: string) => createMatcher({ Regex })(text);

test("a text is found from left to right, not over itself, and special characters are its own", () => {
  expect(createMatcher({ String: "aa" })("aaaa a aa")).toEqual([
    [0, 2],
    [2, 4],
    [7, 9],
  ]);
  expect(createMatcher({ String: "." })("a.b")).toEqual([[1, 2]]);
});

test("an expression finds all its matches, of every text from the begin", () => {
  const find = createMatcher({ Regex: "b+" });
  expect([find("abbab"), find("b"), find("")]).toEqual([
    [
      [1, 3],
      [4, 5],
    ],
    [[0, 1]],
    [],
  ]);
});

test("an empty match counts, but not directly behind another match, and the search goes on behind the character", () => {
  expect(regex("b*", "abc")).toEqual([
    [0, 0],
    [1, 2],
    [3, 3],
  ]);
  expect(regex("x*", "a😀b")).toEqual([
    [0, 0],
    [1, 1],
    [3, 3],
    [4, 4],
  ]);
  expect(regex("(?=b)|b", "ab")).toEqual([[1, 1]]);
});

test("without case the long s is an s and the Kelvin sign a k, with case they are not", () => {
  expect(regex("(?i:'s|k)", "'ſ \u212a 'S K")).toEqual([
    [0, 2],
    [3, 4],
    [5, 7],
    [8, 9],
  ]);
  expect(regex("'[sS]|[kK]", "'ſ \u212a 'S")).toEqual([[5, 7]]);
});

test("an expression that JavaScript cannot do is a SyntaxError when it is built", () => {
  expect(() => createMatcher({ Regex: "(a" })).toThrow(SyntaxError);
});
