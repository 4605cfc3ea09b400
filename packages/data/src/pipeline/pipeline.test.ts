import { describe, expect, test } from "vitest";
import { textOf } from "../decode/decoder.ts";
import type { AddedToken } from "../tokenizer_json.ts";
import { createPipeline, type Pipeline } from "./pipeline.ts";

const letters = "abcdefghij▁ ".split("");
const pieces = ["<unk>", "<s>", "</s>", ...letters, "ab", "abc"];
const vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
const id = (piece: string) => vocab[piece] ?? Number.NaN;
const merges = [
  ["a", "b"],
  ["ab", "c"],
] as const;
const bpe = { type: "BPE", vocab, merges, unk_token: "<unk>" };

function pipeline(parts: object = {}, model: object = {}, added: readonly AddedToken[] = []) {
  const none = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
  return createPipeline({ ...none, ...parts, added_tokens: added, model: { ...bpe, ...model } });
}

const special = (content: string, more: Partial<AddedToken> = {}): AddedToken => ({
  id: id(content),
  content,
  special: true,
  ...more,
});

const addedIn = ({ sectionsOf }: Pipeline, text: string): AddedToken[] =>
  sectionsOf(text).flatMap((section) => ("token" in section ? [section.token] : []));

describe("added tokens", () => {
  const lower = { normalizer: { type: "Lowercase" } };
  const idsIn = (text: string, token: AddedToken) =>
    addedIn(pipeline(lower, {}, [token]), text).map((found) => found.id);

  test("are found before a text is normalised if they are special, else after it, unless they say so", () => {
    const token = { id: pieces.length, content: "D" };
    expect(idsIn("aDd", { ...token, special: true })).toEqual([17]);
    expect(idsIn("aDd", token)).toEqual([17, 17]);
    expect(idsIn("aDd", { ...token, special: true, normalized: true })).toEqual([17, 17]);
    expect(idsIn("aDd", { ...token, normalized: false })).toEqual([17]);
  });

  test("that are normalised are looked for in the normalised text only", () => {
    const joined = { normalizer: { type: "Replace", pattern: { String: "-" }, content: "" } };
    const token = { id: 17, content: "D", single_word: true };
    const found = (more: object) => addedIn(pipeline(joined, {}, [{ ...token, ...more }]), "a-D").length;
    expect([found({ normalized: false }), found({ normalized: true })]).toEqual([1, 0]);
  });

  test("have their ids in texts, come back from them, and are known by both", () => {
    const made = pipeline({}, {}, [special("<s>"), { id: 17, content: "[new]" }]);
    expect(made.encode("a<s>[new]b")).toEqual([id("a"), 1, 17, id("b")]);
    expect([made.tokenOf(17), made.idOf("[new]"), made.idOf("abc"), made.idOf("none")]).toEqual([
      "[new]",
      17,
      id("abc"),
      undefined,
    ]);
    expect(made.tokenOf(18)).toBeUndefined();
    expect(textOf(made.openDecoding(), [id("a"), 17, id("b")])).toBe("a [new] b"); // without a decoder, as the Rust library has it
    const fused = pipeline({ decoder: { type: "Fuse" } }, {}, [{ id: 17, content: "[new]" }]);
    expect(textOf(fused.openDecoding(), [id("a"), 17, id("b")])).toBe("a[new]b");
  });

  test("may have another id than the piece of the same text", () => {
    expect(pipeline({}, {}, [{ id: 17, content: "abc" }]).idOf("abc")).toBe(17);
  });

  test("reports only those in the text", () => {
    const made = pipeline({}, {}, [special("<s>"), special("</s>")]);
    expect(addedIn(made, "a</s>b").map(({ content }) => content)).toEqual(["</s>"]);
    expect(addedIn(made, "ab")).toEqual([]);
  });
});

test("what the post-processor puts around a text stands in front and behind; without one nothing does", () => {
  const around = (token: string) => ({ SpecialToken: { id: token, type_id: 0 } });
  const text = { Sequence: { id: "A", type_id: 0 } };
  const tokens = Object.fromEntries(
    ["<s>", "</s>"].map((name) => [name, { id: name, ids: [id(name)], tokens: [name] }]),
  );
  const processor = (...single: object[]) => ({
    post_processor: { type: "TemplateProcessing", single, pair: [], special_tokens: tokens },
  });
  const added = [special("<s>"), special("</s>")];
  const placed = (parts: object) => {
    const { front, back } = pipeline(parts, {}, added);
    return [front, back];
  };
  expect(placed(processor(around("<s>"), text, around("</s>"), around("<s>")))).toEqual([[1], [2, 1]]);
  expect(placed(processor(text, around("</s>")))).toEqual([[], [2]]);
  expect(placed({})).toEqual([[], []]);
});

test("words are cut before the model sees them", () => {
  const made = pipeline({ pre_tokenizer: { type: "Split", pattern: { String: "b" }, behavior: "Isolated" } });
  expect(made.encode("abc")).toEqual([id("a"), id("b"), id("c")]);
  expect(pipeline().encode("abc")).toEqual([id("abc")]);
  const metaspace = { type: "Metaspace", prepend_scheme: "first" };
  const first = pipeline({ pre_tokenizer: metaspace }, {}, [special("<s>")]);
  expect(first.encode("a<s>a")).toEqual([id("▁"), id("a"), 1, id("a")]);
});

describe("what no piece stands for", () => {
  test("is the unknown token, or NaN if that is not a piece, even if an added token has its text", () => {
    expect(pipeline().encode("aZ")).toEqual([id("a"), 0]);
    const missing = pipeline({}, { unk_token: "<none>" }, [{ id: 17, content: "<none>", special: true }]);
    expect(missing.encode("aZ")).toEqual([id("a"), Number.NaN]);
    expect(missing.encode("a<none>")).toEqual([id("a"), 17]);
  });

  test("is skipped by BPE without an unknown token, before it merges what is left", () => {
    expect(pipeline({}, { unk_token: null }).encode("aZbc😀")).toEqual([id("abc")]);
    expect(pipeline({}, { unk_token: undefined }).encode("Z")).toEqual([]);
  });

  test("are bytes if the vocabulary has all of a character's and the model asks for them", () => {
    const bytes = ["<0x0A>", "<0xC3>", "<0xA9>"];
    const more = Object.fromEntries(bytes.map((byte, i) => [byte, pieces.length + i]));
    const model = { vocab: { ...vocab, ...more }, unk_token: null };
    const encode = (text: string, byte_fallback?: boolean) => pipeline({}, { ...model, byte_fallback }).encode(text);
    expect(encode("aé\nè", true)).toEqual([id("a"), 18, 19, 17]); // of è the byte 0xA8 is missing
    expect(encode("aèbc", true)).toEqual([id("abc")]);
    expect([encode("aéb", false), encode("aéb")]).toEqual([[id("ab")], [id("ab")]]);
  });

  test("costs a Unigram model more than the unknown piece's own text", () => {
    const list = [
      ["<unk>", -1],
      ["a", -2],
      ["b", -1],
      ["<", -4],
      ["unk", -4],
      [">", -4],
    ];
    const unigram = (more: object) => pipeline({}, { type: "Unigram", vocab: list, merges: undefined, ...more });
    expect(unigram({ unk_id: 0 }).encode("a<unk>b")).toEqual([1, 0, 2]);
    expect(unigram({ unk_id: 0 }).encode("aZb")).toEqual([1, 0, 2]);
    const dear = list.map(([piece, score]) => [piece, piece === "<unk>" ? -13 : score]);
    expect(unigram({ unk_id: 0, vocab: dear }).encode("<unk>")).toEqual([3, 4, 5]);
    expect(unigram({ unk_id: null, unk_token: undefined }).encode("ab")).toEqual([1, 2]);
  });

  test("is one unknown word to WordPiece, whose inner pieces begin with ## unless the file has another mark", () => {
    const words = { "<unk>": 0, a: 1, "##b": 2, "@b": 3 };
    const wordPiece = (more: object = {}) =>
      pipeline({}, { type: "WordPiece", vocab: words, merges: undefined, max_input_chars_per_word: 100, ...more });
    expect([wordPiece().encode("ab"), wordPiece().encode("aZ")]).toEqual([[1, 2], [0]]);
    expect(wordPiece({ continuing_subword_prefix: "@" }).encode("ab")).toEqual([1, 3]);
  });
});

test("decoders put contents of replacements in as they stand, alone and in a sequence", () => {
  const replace = { type: "Replace", pattern: { String: "▁" }, content: "$&$1" };
  const fuse = { type: "Fuse" };
  const decoded = (decoder: object | null) => textOf(pipeline({ decoder }).openDecoding(), [id("▁"), id("a")]);
  expect(decoded(replace)).toBe("$&$1a");
  expect(decoded({ type: "Sequence", decoders: [replace, fuse] })).toBe("$&$1a");
  expect(
    decoded({
      type: "Sequence",
      decoders: [
        { ...replace, content: " " },
        { type: "Sequence", decoders: [fuse] },
      ],
    }),
  ).toBe(" a");
});

test("spaces that cleaning up would take away stay", () => {
  const dotted = pipeline({ decoder: { type: "Fuse" } }, { vocab: { ...vocab, ".": pieces.length } });
  expect(textOf(dotted.openDecoding(), [id("a"), id(" "), pieces.length])).toBe("a .");
});
