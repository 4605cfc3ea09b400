import { expect, test } from "vitest";
import type { AddedToken } from "../tokenizer_json.ts";
import { createSplitter } from "./added_tokens.ts";

const token = (content: string, more: Partial<AddedToken> = {}): AddedToken => ({
  id: content.length,
  content,
  ...more,
});

/** What a text is cut into, tokens in square brackets, parts that are not the first behind a dot. */
function cut(text: string, tokens: readonly AddedToken[], isFirst = true): string[] {
  const sections = createSplitter(tokens, ({ content }) => content)({ text, isFirst });
  return sections.map((section) =>
    "token" in section ? `[${section.token.content}]` : `${section.isFirst ? "" : "·"}${section.text}`,
  );
}

test("tokens are cut out, with the texts between them; only the one at the beginning is first", () => {
  const tokens = [token("<a>"), token("<b>")];
  expect(cut("x<a>y<b><a>z", tokens)).toEqual(["x", "[<a>]", "·y", "[<b>]", "[<a>]", "·z"]);
  expect(cut("<a>x", tokens)).toEqual(["[<a>]", "·x"]);
  expect(cut("x<a>", tokens, false)).toEqual(["·x", "[<a>]"]);
  expect(cut("x<", tokens)).toEqual(["x<"]);
  expect(cut("<<a>", tokens)).toEqual(["<", "[<a>]"]);
});

test("without tokens, or in a text without one, the text stays whole; of an empty text nothing is left", () => {
  const [part] = createSplitter([], ({ content }) => content)({ text: "", isFirst: true });
  expect(part).toEqual({ text: "", isFirst: true });
  expect(cut("x", [token("<a>")])).toEqual(["x"]);
  expect(cut("", [token("<a>")])).toEqual([]);
});

test("the longest token at the leftmost place wins, and a text of two tokens is the first of them", () => {
  const tokens = [token("ab"), token("abcd"), token("bcde"), token("b")];
  expect(cut("abcde", tokens)).toEqual(["[abcd]", "·e"]);
  expect(cut("abce", tokens)).toEqual(["[ab]", "·ce"]);
  expect(cut("xbcde", tokens)).toEqual(["x", "[bcde]"]);
  expect(cut("xab", [token("xa"), token("ab")])).toEqual(["[xa]", "·b"]);
  const [first, second] = [token("ab"), { ...token("ab"), id: 9 }];
  const found = createSplitter([first, second], ({ content }) => content)({ text: "ab", isFirst: true });
  expect(found).toEqual([{ token: first }]);
});

test("a token whose text a normaliser removes is found nowhere", () => {
  const splitter = createSplitter([token("gone"), token("b")], ({ content }) => (content === "gone" ? "" : content));
  expect(splitter({ text: "agone", isFirst: true })).toEqual([{ text: "agone", isFirst: true }]);
});

test("a token of single words stands for itself only if no letter, mark, digit or joiner is beside it", () => {
  const tokens = [token("tok", { single_word: true })];
  for (const text of ["tok", " tok ", "(tok)", "-tok!", "😀tok😀"]) expect(cut(text, tokens)).toContain("[tok]");
  const beside = ["x", "é", "_", "3", "\u0301", "\u200d", "𠀀", "漢", "Ⅷ"];
  for (const letter of beside) {
    expect(cut(`${letter}tok`, tokens), letter).toEqual([`${letter}tok`]);
    expect(cut(`tok${letter}`, tokens), letter).toEqual([`tok${letter}`]);
  }
  expect(cut("xtok tok", tokens)).toEqual(["xtok ", "[tok]"]);
  expect(cut("a b tok c d", tokens)).toEqual(["a b ", "[tok]", "· c d"]); // letters further away are none beside it
  expect(cut("xtok", [token("tok", { single_word: false })])).toEqual(["x", "[tok]"]);
});

test("lstrip and rstrip take all spaces beside the token along, those between two of them once", () => {
  const left = [token("<l>", { lstrip: true })];
  const right = [token("<r>", { rstrip: true })];
  expect(cut("a \t\u3000<l> b", left)).toEqual(["a", "[<l>]", "· b"]);
  expect(cut("  <l>", left)).toEqual(["[<l>]"]);
  expect(cut("a <r> \n b", right)).toEqual(["a ", "[<r>]", "·b"]);
  expect(cut("<r>  ", right)).toEqual(["[<r>]"]);
  expect(cut("a <r>  <l> b", [...left, ...right])).toEqual(["a ", "[<r>]", "[<l>]", "· b"]);
  expect(cut("<r> <r>x", right)).toEqual(["[<r>]", "[<r>]", "·x"]);
});
