import { describe, expect, test } from "vitest";
import { createNormalizer } from "./normalize.ts";

const normal = (node: Readonly<Record<string, unknown>> | null, text: string) => {
  const { text: changed, isFirst } = createNormalizer(node)({ text, isFirst: true });
  return isFirst ? changed : `·${changed}`;
};

test("no normaliser, and one of no known type, leave the text as it is", () => {
  expect([normal(null, " Ab"), normal({ type: "Nmt" }, " Ab")]).toEqual([" Ab", " Ab"]);
});

test("the four forms of Unicode", () => {
  const [NFC, NFD, NFKC, NFKD] = ["NFC", "NFD", "NFKC", "NFKD"].map((type) => normal({ type }, "e\u0301ﬁé"));
  expect([NFC, NFD]).toEqual(["éﬁé", "e\u0301ﬁe\u0301"]);
  expect([NFKC, NFKD]).toEqual(["éfié", "e\u0301fie\u0301"]);
});

test("lower case goes character by character: a sigma at a word's end is treated like others", () => {
  expect(normal({ type: "Lowercase" }, "ΣΊΣΥΦΟΣ İ ÀB")).toBe("σίσυφοσ i̇ àb");
});

test("marks are stripped if they are characters of their own, and with the first of them goes the begin", () => {
  expect(normal({ type: "StripAccents" }, "e\u0301é")).toBe("eé");
  expect(normal({ type: "StripAccents" }, "\u0301e")).toBe("·e");
});

test("Prepend puts a text in front, but not of nothing", () => {
  expect([normal({ type: "Prepend", prepend: "▁" }, "a"), normal({ type: "Prepend", prepend: "▁" }, "")]).toEqual([
    "▁a",
    "",
  ]);
});

test("Strip takes every kind of space from the sides that it names", () => {
  const strip = (strip_left: unknown, strip_right: unknown, text = " \u3000a b\u00a0\n") =>
    normal({ type: "Strip", strip_left, strip_right }, text);
  expect(strip(true, true)).toBe("·a b");
  expect(strip(true, false)).toBe("·a b\u00a0\n");
  expect(strip(false, true)).toBe(" \u3000a b");
  expect(strip(undefined, undefined)).toBe(" \u3000a b\u00a0\n");
  expect([strip(true, true, "a"), strip(false, true, "  "), strip(false, true, "")]).toEqual(["a", "", ""]);
  expect(strip(true, true, "a\nb ")).toBe("a\nb");
  expect(strip(true, false, "a\n b")).toBe("a\n b");
});

test("Replace puts its content in as it stands; if that is nothing, the begin may go", () => {
  const replace = (pattern: object, content: string, text: string) =>
    normal({ type: "Replace", pattern, content }, text);
  expect(replace({ String: "a" }, "$&", "banana")).toBe("b$&n$&n$&");
  expect(replace({ Regex: "a+" }, "o", "aaxa")).toBe("oxo");
  expect(replace({ String: "a" }, "", "ab")).toBe("·b");
  expect(replace({ String: "a" }, "", "ba")).toBe("b");
  expect(replace({ String: "a" }, "o", "ab")).toBe("ob");
  expect(replace({ Regex: "x*" }, "", "ab")).toBe("ab"); // an empty match takes no character away
  expect(replace({ String: "z" }, "", "ab")).toBe("ab");
  const twice = { type: "Replace", pattern: { String: "a" }, content: "" };
  expect(createNormalizer(twice)({ text: "ba", isFirst: false })).toEqual({ text: "b", isFirst: false });
});

test("steps of a sequence follow each other", () => {
  const steps = [{ type: "Lowercase" }, { type: "Replace", pattern: { String: "a" }, content: "A" }];
  expect(normal({ type: "Sequence", normalizers: steps }, "aB")).toBe("Ab");
  expect(normal({ type: "Sequence", normalizers: steps.toReversed() }, "aB")).toBe("ab");
  expect(normal({ type: "Sequence", normalizers: [] }, "aB")).toBe("aB");
});

describe("BERT's", () => {
  const bert = (text: string, node: object) => normal({ type: "BertNormalizer", ...node }, text);

  test("cleans texts of control, format and private characters, and makes every space one", () => {
    const text = "a\u0000\u0007\ufffd\u200b\ue000b\tc\nd\re\u00a0f\u0085g";
    expect(bert(text, { clean_text: true })).toBe("ab c d e fg");
    expect(bert(text, {})).toBe(text);
    expect(bert("\u0007a", { clean_text: true })).toBe("·a");
  });

  test("puts spaces around Chinese characters of every block, and around none of Japanese or Korean", () => {
    const text = "a中b𠀀c﨑dかe한f";
    expect(bert(text, { handle_chinese_chars: true })).toBe("a 中 b 𠀀 c 﨑 dかe한f");
    expect(bert(text, { handle_chinese_chars: false })).toBe(text);
  });

  test("strips accents if asked to, and by default if it writes in lower case", () => {
    const kinds = [
      { lowercase: true },
      { lowercase: true, strip_accents: null },
      { lowercase: true, strip_accents: false },
      { lowercase: false, strip_accents: true },
      { lowercase: false },
      { lowercase: false, strip_accents: null },
    ];
    expect(kinds.map((node) => bert("Éa", node))).toEqual(["ea", "ea", "éa", "Ea", "Éa", "Éa"]);
    expect(bert("a\u0903", { strip_accents: true, lowercase: false })).toBe("a\u0903"); // a spacing mark is not an accent
  });
});
