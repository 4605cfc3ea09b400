/** What SentencePiece's rules make of a text, and what its bytes are decoded to, case by case. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { minimalPieces, writeModel } from "../../test/sentencepiece/write_model.ts";
import { textOf } from "../decode/decoder.ts";
import { openPieceDecoding } from "./decode.ts";
import { parseSentencePieceModel } from "./model_file.ts";
import { createTextNormalizer } from "./normalize.ts";

const file = readFileSync(new URL("../../test/sentencepiece/unigram_rules.model", import.meta.url));
const { normalizer } = parseSentencePieceModel(file);

test("the longest rule is taken, of whole characters, in front of what it leaves", () => {
  const normalize = createTextNormalizer(normalizer, () => 0);
  const of = (text: string) => normalize(text, true);
  expect([of("É"), of("ÉÉ"), of("ÉÉÉ"), of("aÉb")]).toEqual(["▁E", "▁eee", "▁eeeE", "▁aEb"]);
  expect([of("a\u00adb"), of("ﬁn 😀"), of("\u{1f601}")]).toEqual(["▁ab", "▁fin▁:)", "▁\u{1f601}"]);
  expect([of("a\u00a0b"), of("\u00a0 a \u00a0"), of(" \u00a0 "), of("")]).toEqual(["▁a▁▁b", "▁a", "", ""]);
  expect(normalize("É", false)).toBe("E");
  expect(of("\ud800")).toBe("▁\ufffd");
});

test("pieces of a user stay as they are, spaces but for the first aside", () => {
  const normalize = createTextNormalizer(normalizer, (text, at) => (text.startsWith("ÉÉ", at) ? 2 : 0));
  expect(normalize("ÉÉÉ", true)).toBe("▁ÉÉE");
});

test("the dummy prefix of a model with spaces at the end of words is behind the text", () => {
  const settings = { ...normalizer, whitespaceAsSuffix: true };
  expect(createTextNormalizer(settings, () => 0)("a b ", true)).toBe("a▁b▁");
  const kept = {
    addDummyPrefix: true,
    removeExtraWhitespaces: false,
    escapeWhitespaces: false,
    whitespaceAsSuffix: true,
  };
  expect(createTextNormalizer(kept, () => 0)(" a", true)).toBe(" a ");
});

test("bytes that are no character are U+FFFD one by one, those around them characters", () => {
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const pieces = bytes.map((byte) => [`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`, 0, 6] as const);
  const model = parseSentencePieceModel(writeModel({ pieces: [...minimalPieces, ...pieces], byteFallback: true }));
  const decode = (...of: number[]) =>
    textOf(
      openPieceDecoding(model, new Map()),
      of.map((byte) => 8 + byte),
    );
  expect(decode(0xe2, 0x96, 0x81)).toBe("▁");
  expect(decode(0xe2, 0x96)).toBe("\ufffd\ufffd");
  expect(decode(0x61, 0xff, 0xc3, 0xa9, 0xc3)).toBe("a\ufffdé\ufffd");
  expect(decode(0xed, 0xa0, 0x80, 0xf0, 0x9f, 0x98, 0x80)).toBe("\ufffd\ufffd\ufffd😀");
  expect(textOf(openPieceDecoding(model, new Map()), [6, 0, 4])).toBe("a \u2047 a");
  expect(textOf(openPieceDecoding(model, new Map([[1, "<s>"]])), [1, 6, 2])).toBe("<s> a");
});
