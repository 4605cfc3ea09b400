/** The clock of a stranger's expressions: seconds each. */
import { InputError } from "@zerogate/core";
import { expect, test } from "vitest";
import { createMatcher } from "./patterns.ts";

test("a sound expression has time for any number of texts, long ones too", () => {
  const find = createMatcher({ Regex: "(?=[a-y]{40}z)x|y" });
  const text = "abcdefghijklmnopqrstuvw".repeat(5_000);
  const begin = performance.now();
  // More than all searches may take together, without what each of them adds.
  while (performance.now() - begin < 2_500) expect(find(text)).toEqual([]);
});

test("an expression that never ends is quoted in its error, cut if it is long, with its cause", () => {
  const long = (length: number) => `(z+)+[${"!".repeat(length - 7)}]`;
  const found = (expression: string) => {
    try {
      createMatcher({ Regex: expression })("z".repeat(60));
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
