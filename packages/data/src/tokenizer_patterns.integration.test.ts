/** A tokenizer whose regular expressions never end is stopped by the clock: seconds each. */
import { InputError } from "@zerogate/core";
import { describe, expect, test } from "vitest";
import { tinyTokenizerFiles, tinyTokenizerJson } from "../test/tiny_tokenizer.ts";
import { createTokenizer } from "./tokenizer.ts";

const json = tinyTokenizerJson();

describe("regular expressions of a stranger", () => {
  const hostile = (part: object) => {
    const text = JSON.stringify({ ...json, post_processor: null, ...part });
    return createTokenizer({ ...tinyTokenizerFiles(), tokenizerJson: text.replaceAll('"Regex"', '"\\u0052egex"') });
  };
  const split = (Regex: string) => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false });
  const replace = { type: "Replace", pattern: { Regex: "(z+)+!" }, content: "y" };

  test.each([
    ["a pre-tokenizer's", { pre_tokenizer: split("(z+)+!") }],
    ["one in a sequence", { pre_tokenizer: { type: "Sequence", pretokenizers: [split("[0-9]"), split("(z|z)*!")] } }],
    ["a normalizer's", { normalizer: { type: "Sequence", normalizers: [replace] } }],
  ])("%s that never ends is stopped, however its key is spelled [T-B5]", (_, part) => {
    const tokenizer = hostile(part);
    expect(tokenizer.encode("ab ab")).not.toEqual([]);
    const encode = () => tokenizer.encode("z".repeat(60));
    expect(encode).toThrow(InputError);
    expect(encode).toThrow(
      /the regular expression "\(z.*!" of tokenizer.json takes too long on a text of 6[01] characters/,
    );
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
