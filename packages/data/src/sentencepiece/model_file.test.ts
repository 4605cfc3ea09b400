import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { minimalPieces, type WrittenModel, writeModel } from "../../test/sentencepiece/write_model.ts";
import { textOf } from "../decode/decoder.ts";
import { parseSentencePieceModel } from "./model_file.ts";
import { createSentencePiece } from "./pipeline.ts";

const sound: WrittenModel = { pieces: minimalPieces };

test("a model that is written field by field is read", () => {
  const model = parseSentencePieceModel(writeModel({ ...sound, eosPiece: "<end>" }));
  expect(model).toMatchObject({ kind: "bpe", byteFallback: false, bosPiece: "<s>", eosPiece: "<end>" });
  expect(model.pieces[6]).toEqual({ text: "▁a", score: -0.5, type: "normal" });
  expect(model.pieces.map(({ type }) => type).slice(0, 3)).toEqual(["unknown", "control", "control"]);
  expect(model.normalizer).toEqual({
    addDummyPrefix: true,
    removeExtraWhitespaces: false,
    escapeWhitespaces: true,
    whitespaceAsSuffix: false,
  });
  expect(parseSentencePieceModel(writeModel({ ...sound, kind: 1 })).kind).toBe("unigram");
});

const bytePieces = Array.from(
  { length: 256 },
  (_, byte) => [`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`, 0, 6] as const,
);
const withPiece = (...piece: readonly [string | Uint8Array, number, number]) => ({ pieces: [...minimalPieces, piece] });

describe("what cannot be used is refused", () => {
  test.each<[string, WrittenModel, string]>([
    ["a model of words", { ...sound, kind: 3 }, "it is a model of the kind word, bpe or unigram is needed"],
    ["a kind without a name", { ...sound, kind: 9 }, "it is a model of the kind without a name"],
    ["rules for decoded texts", { ...sound, denormalizer: Uint8Array.of(1) }, "rules for decoded texts"],
    ["a piece twice", withPiece("a", 0, 1), 'it has two pieces "a"'],
    ["an empty piece", withPiece("", 0, 1), 'it has a piece "", which is empty'],
    ["a zero in a piece", withPiece("x\0", 0, 1), "which is empty or holds a zero"],
    ["no number for a score", withPiece("x", Number.NaN, 1), 'its piece "x" has the score NaN'],
    ["a type that is not known", withPiece("x", 0, 7), "it has a piece of type 7"],
    ["a piece that is too long", withPiece("x".repeat(8_000), 0, 1), "it has a piece of 8000 bytes"],
    ["a piece that is not UTF-8", withPiece(Uint8Array.of(0xff), 0, 1), "it has a text that is not UTF-8"],
    ["two unknown pieces", withPiece("x", 0, 2), "it has 2 unknown pieces"],
    ["no unknown piece", { pieces: minimalPieces.slice(1) }, "it has 0 unknown pieces"],
    ["a byte without fallback", withPiece("<0x00>", 0, 6), "a piece for a byte"],
    [
      "a byte that is missing",
      { byteFallback: true, pieces: [...minimalPieces, ...bytePieces.slice(0, 255)] },
      "it has byte_fallback and no piece <0xFF>",
    ],
  ])("%s", (_, model, problem) => {
    expect(() => parseSentencePieceModel(writeModel(model))).toThrow(problem);
  });

  test("pieces for all bytes are enough", () => {
    const pieces = [...minimalPieces, ...bytePieces];
    expect(parseSentencePieceModel(writeModel({ byteFallback: true, pieces })).byteFallback).toBe(true);
  });

  test.each<[string, readonly number[], string]>([
    ["no size", [0, 0, 0], "have 3 bytes"],
    ["a trie that is longer than they are", [8, 0, 0, 0, 1, 2, 3, 4], "claim a trie of 8"],
    ["a trie of parts of units", [3, 0, 0, 0, 1, 2, 3, 0], "claim a trie of 3"],
    ["no trie", [0, 0, 0, 0, 0], "claim a trie of 0"],
    ["a text that is not UTF-8", [4, 0, 0, 0, 0, 0, 0, 0, 0xff, 0], "hold a text that is not UTF-8"],
    ["a value within a character", [4, 0, 0, 0, 1, 0, 0, 0x80, 0xc3, 0xa9, 0], "name byte 1 of their texts"],
    ["a value beyond all texts", [4, 0, 0, 0, 9, 0, 0, 0x80, 97, 0], "name byte 9 of their texts"],
    ["a text without an end", [4, 0, 0, 0, 0, 0, 0, 0, 97], "end in the middle of a text"],
  ])("rules of a normalizer with %s", (_, bytes, problem) => {
    const model = parseSentencePieceModel(writeModel({ ...sound, normalizer: { charsmap: Uint8Array.from(bytes) } }));
    expect(() => createSentencePiece(model, bare)).toThrow(problem);
  });
});

const bare = { added: [], front: [], back: [], prefixesFirstOnly: false };

/** What becomes of a text, or the words that refuse the model. */
function outcome(
  bytes: Uint8Array,
  text: string,
): { ids: number[]; pieces: number; back: string } | { problem: string } {
  try {
    const model = parseSentencePieceModel(bytes);
    const { encode, openDecoding } = createSentencePiece(model, bare);
    const ids = encode(text);
    return { ids, pieces: model.pieces.length, back: textOf(openDecoding(), ids) };
  } catch (error) {
    if (!(error instanceof Error) || error instanceof TypeError) throw error;
    return { problem: error.message };
  }
}

test("any change of a model is refused with words, or read as a model that encodes every text", () => {
  const file = readFileSync(new URL("../../test/sentencepiece/unigram_rules.model", import.meta.url));
  const place = fc.tuple(fc.nat({ max: file.length - 1 }), fc.nat({ max: 255 }));
  const changed = fc
    .tuple(fc.array(place, { minLength: 1, maxLength: 4 }), fc.nat({ max: 40 }))
    .map(([changes, cut]) => {
      const bytes = Uint8Array.from(cut < 20 ? file.subarray(0, file.length - 50 * cut) : file);
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      return bytes;
    });
  fc.assert(
    fc.property(changed, fc.string({ unit: "binary", maxLength: 20 }), (bytes, text) => {
      const found = outcome(bytes, text);
      if ("problem" in found) return found.problem.length > 5;
      return found.ids.every((id) => id >= 0 && id < found.pieces) && typeof found.back === "string";
    }),
    { numRuns: 150 },
  );
});
