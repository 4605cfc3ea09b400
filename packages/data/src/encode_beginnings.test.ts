import fc from "fast-check";
import { expect, test } from "vitest";
import { tinyTokenizerFiles, tinyTokenizerJson } from "../test/tiny_tokenizer.ts";
import { createTokenizer } from "./tokenizer.ts";
import type { AddedToken } from "./tokenizer_json.ts";

const tokens: Readonly<Record<string, Partial<AddedToken>>> = {
  plain: { special: true },
  "taking spaces along": { special: true, lstrip: true, rstrip: true },
  "apart from letters only": { special: true, single_word: true },
  "found in the normalised text": { normalized: true },
};
/** Two more tokens, one of which begins as the other does. */
const extra = (first: number, more: Partial<AddedToken>): AddedToken[] => [
  { id: first, content: "<a>", ...more },
  { id: first + 1, content: "<a>b</s>", ...more },
];
const pieces = fc.constantFrom("a", "b", "ab", " ", "  ", "<a>", "<a>b", "</s>", "<s>", "\n", "é", "<");

test.each(Object.entries(tokens))(
  "with added tokens that are %s, beginnings are as long as the ids that they have in common with the whole",
  (_, more) => {
    const json = tinyTokenizerJson();
    const added = [...(json.added_tokens as AddedToken[]), ...extra(Object.keys(json.model.vocab).length, more)];
    const tokenizer = createTokenizer(tinyTokenizerFiles({ ...json, added_tokens: added }));
    const common = (a: readonly number[], b: readonly number[]) => {
      const differs = a.findIndex((id, i) => b[i] !== id);
      return differs < 0 ? a.length : differs;
    };
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 14 }), fc.boolean(), (words, onlyMarkedSpecialTokens) => {
        const text = words.join("");
        const ends = Array.from({ length: text.length + 1 }, (_end, i) => i);
        const options = { addSpecialTokens: false, onlyMarkedSpecialTokens };
        const ids = tokenizer.encode(text, options);
        const expected = ends.map((end) => common(tokenizer.encode(text.slice(0, end), options), ids));
        expect(tokenizer.encodeBeginnings(text, ends, options)).toEqual({ ids, lengths: expected });
      }),
      { numRuns: 300 },
    );
  },
);
