import { expect, test } from "vitest";
import { createPreTokenizer, type Node } from "./pre_tokenize.ts";

const words = (node: Node | null, text: string, isFirst = true) =>
  createPreTokenizer(node)({ text, isFirst }).map((part) => part.text);

test("without a pre-tokenizer, or with one of no known type, the text is one word", () => {
  expect([words(null, "a b"), words({ type: "UnicodeScripts" }, "a b")]).toEqual([["a b"], ["a b"]]);
});

test("Whitespace cuts runs of letters, digits, marks and joiners from runs of other characters", () => {
  expect(words({ type: "Whitespace" }, "a_b3e\u0301 c!?\u00a0d-e")).toEqual(["a_b3e\u0301", "c", "!?", "d", "-", "e"]);
});

test("WhitespaceSplit cuts at every kind of space", () => {
  expect(words({ type: "WhitespaceSplit" }, " a!\u3000b\u0085c ")).toEqual(["a!", "b", "c"]);
});

test("BERT's takes spaces away and punctuation apart", () => {
  expect(words({ type: "BertPreTokenizer" }, "a b, c$-?")).toEqual(["a", "b", ",", "c", "$", "-", "?"]);
});

test("Punctuation is ASCII's and Unicode's, apart by default", () => {
  expect(words({ type: "Punctuation" }, "a,b«c~")).toEqual(["a", ",", "b", "«", "c", "~"]);
  expect(words({ type: "Punctuation", behavior: "Contiguous" }, "a,«b")).toEqual(["a", ",«", "b"]);
});

test("Digits are numbers of all scripts, together or one by one", () => {
  expect(words({ type: "Digits", individual_digits: true }, "a12½٣")).toEqual(["a", "1", "2", "½", "٣"]);
  expect(words({ type: "Digits", individual_digits: false }, "a12b")).toEqual(["a", "12", "b"]);
  expect(words({ type: "Digits" }, "a12b")).toEqual(["a", "12", "b"]);
});

test("CharDelimiterSplit takes the delimiter away", () => {
  expect(words({ type: "CharDelimiterSplit", delimiter: "," }, "a,b,,c")).toEqual(["a", "b", "c"]);
});

test("Split isolates what it finds by default, and inverted what it does not", () => {
  expect(words({ type: "Split", pattern: { String: "x" } }, "axb")).toEqual(["a", "x", "b"]);
  const removed = { type: "Split", pattern: { Regex: "[0-9]+" }, behavior: "Removed" };
  expect(words(removed, "a12b")).toEqual(["a", "b"]);
  expect(words({ ...removed, invert: false }, "a12b")).toEqual(["a", "b"]);
  expect(words({ ...removed, invert: true }, "a12b")).toEqual(["12"]);
});

test("FixedLength counts characters, five by default, line breaks too", () => {
  expect(words({ type: "FixedLength" }, "abcdefg")).toEqual(["abcde", "fg"]);
  expect(words({ type: "FixedLength", length: 2 }, "a😀\nbc")).toEqual(["a😀", "\nb", "c"]);
});

test("a sequence's steps cut what those before them left, and stop being first if the first one was", () => {
  const meta = { type: "Metaspace", prepend_scheme: "first" };
  const pretokenizers = [{ type: "WhitespaceSplit" }, meta];
  expect(words({ type: "Sequence", pretokenizers }, "a b")).toEqual(["▁a", "b"]);
  expect(words({ type: "Sequence", pretokenizers: [] }, "a b")).toEqual(["a b"]);
});

test("Metaspace puts one space in front if its scheme says so, and cuts before each unless that is switched off", () => {
  const meta = (more: object, text = "a  b", isFirst = true) => words({ type: "Metaspace", ...more }, text, isFirst);
  expect(meta({})).toEqual(["▁a", "▁", "▁b"]);
  expect(meta({ split: true })).toEqual(["▁a", "▁", "▁b"]);
  expect(meta({ split: false })).toEqual(["▁a▁▁b"]);
  expect(meta({ replacement: "$&" })).toEqual(["$&a", "$&", "$&b"]);
  expect(meta({ split: false }, " a")).toEqual(["▁a"]);
  expect(meta({ split: false }, "▁a")).toEqual(["▁a"]);
  const schemes = ["always", "first", "never"].map((prepend_scheme) =>
    [true, false].map((isFirst) => meta({ prepend_scheme, split: false }, "a", isFirst)[0]),
  );
  expect(schemes).toEqual([
    ["▁a", "▁a"],
    ["▁a", "a"],
    ["a", "a"],
  ]);
  const parts = createPreTokenizer({ type: "Metaspace" })({ text: "a b", isFirst: true });
  expect(parts.map(({ isFirst }) => isFirst)).toEqual([true, false]);
});

test("ByteLevel makes a letter of each byte, of GPT-2's words and behind a space unless that is switched off", () => {
  const bytes = (more: object, text: string) => words({ type: "ByteLevel", ...more }, text);
  expect(bytes({}, "it's 12 é!")).toEqual(["Ġit", "'s", "Ġ12", "ĠÃ©", "!"]);
  expect(bytes({ add_prefix_space: true, use_regex: true }, " a")).toEqual(["Ġa"]);
  expect(bytes({ add_prefix_space: false }, "a  b\n")).toEqual(["a", "Ġ", "Ġb", "Ċ"]);
  expect(bytes({ use_regex: false, add_prefix_space: false }, "a b")).toEqual(["aĠb"]);
  expect(createPreTokenizer({ type: "ByteLevel" })({ text: "a b", isFirst: true })).toEqual([
    { text: "Ġa", isFirst: true },
    { text: "Ġb", isFirst: false },
  ]);
});
