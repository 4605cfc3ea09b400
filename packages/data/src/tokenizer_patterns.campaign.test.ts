/** Every place of a tokenizer in which a regular expression may never end, each stopped by the clock. */
import { InputError } from "@zerogate/core";
import { expect, test } from "vitest";
import { hostile, split, takesTooLong } from "../test/hostile_patterns.ts";

const replace = { type: "Replace", pattern: { Regex: "(z+)+!" }, content: "y" };

test.each([
  ["one in a sequence", { pre_tokenizer: { type: "Sequence", pretokenizers: [split("[0-9]"), split("(z|z)*!")] } }],
  ["a normalizer's", { normalizer: { type: "Sequence", normalizers: [replace] } }],
])("%s that never ends is stopped, however its key is spelled [T-B5]", (_, part) => {
  const tokenizer = hostile(part);
  expect(tokenizer.encode("ab ab")).not.toEqual([]);
  const encode = () => tokenizer.encode("z".repeat(60));
  expect(encode).toThrow(InputError);
  expect(encode).toThrow(takesTooLong);
});
