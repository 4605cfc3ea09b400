import { InputError } from "@zerogate/core";
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

test("a sound expression has time for any number of texts, long ones too", () => {
  const find = createMatcher({ Regex: "(?=[a-y]{40}z)x|y" });
  const text = "abcdefghijklmnopqrstuvw".repeat(5_000);
  const begin = performance.now();
  // More than all searches may take together besides what each of them adds.
  while (performance.now() - begin < 2_500) expect(find(text)).toEqual([]);
});

test("an expression that JavaScript cannot do is a SyntaxError when it is built", () => {
  expect(() => createMatcher({ Regex: "(a" })).toThrow(SyntaxError);
});

test("an expression that never ends is quoted in its error, cut where it is long, with its cause", () => {
  const long = (length: number) => `(z+)+[${"!".repeat(length - 7)}]`;
  const found = (expression: string) => {
    try {
      regex(expression, "z".repeat(60));
      return undefined;
    } catch (error) {
      return error as InputError;
    }
  };
  const [exact, cut] = [found(long(100)), found(long(101))];
  expect(exact).toBeInstanceOf(InputError);
  expect(exact?.message).toBe(
    `Cannot tokenise a text: the regular expression "${long(100)}" of tokenizer.json takes too long on a text of 60 characters`,
  );
  expect(exact?.cause).toMatchObject({ code: "ERR_SCRIPT_EXECUTION_TIMEOUT" });
  expect(cut?.message).toContain(
    `the regular expression "${long(101).slice(0, 100)}…" of tokenizer.json takes too long`,
  );
});
