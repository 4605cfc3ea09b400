/** A tokenizer whose regular expression never ends is stopped by the clock: seconds each. Others: tokenizer_patterns.campaign.test.ts. */
import { InputError } from "@zerogate/core";
import { describe, expect, test } from "vitest";
import { hostile, split, takesTooLong } from "../test/hostile_patterns.ts";

describe("regular expressions of a stranger", () => {
  test("a pre-tokenizer's that never ends is stopped, however its key is spelled [T-B5]", () => {
    const tokenizer = hostile({ pre_tokenizer: split("(z+)+!") });
    expect(tokenizer.encode("ab ab")).not.toEqual([]);
    const encode = () => tokenizer.encode("z".repeat(60));
    expect(encode).toThrow(InputError);
    expect(encode).toThrow(takesTooLong);
  });

  test("one that is stopped a little on every text is stopped for good [T-B5]", () => {
    const tokenizer = hostile({ pre_tokenizer: split("(z+)+!") });
    const slow = () => {
      for (let length = 18; length < 40; length++) for (let i = 0; i < 20; i++) tokenizer.encode("z".repeat(length));
    };
    expect(slow).toThrow("takes too long");
  });

  test("one that fills its memory is an error with its name [T-B5]", () => {
    const tokenizer = hostile({ pre_tokenizer: split("(?:a|b|(?=c))*c") });
    expect(() => tokenizer.encode("ab".repeat(20_000_000))).toThrow(InputError);
  });
});
