import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BOS, byteId, EOS, tinyTokenizerFiles, tinyTokenizerJson, UNK } from "../test/tiny_tokenizer.ts";
import { Tokenizer as Library } from "./pipeline/library.ts";
import { createPreTokenizer } from "./pipeline/pre_tokenize.ts";
import { cutAtSpaces } from "./space_cut.ts";
import { checkVocabulary, createTokenizer, loadTokenizer } from "./tokenizer.ts";
import type { TokenizerJson } from "./tokenizer_json.ts";

for (const name of ["stories260K", "llama2-tokenizer"]) {
  const folder = fileURLToPath(new URL(`../../../../shared/data/${name}`, import.meta.url));
  const isAbsent = !existsSync(folder);
  describe(`${name}${isAbsent ? " (skipped: ../shared/data is absent)" : ""}`, () => {
    test.skipIf(isAbsent)("gives SentencePiece's ids for all 200 reference texts", async () => {
      const tokenizer = await loadTokenizer(folder);
      const { cases } = JSON.parse(readFileSync(join(folder, "tokenizer_reference.json"), "utf8")) as {
        cases: { text: string; ids: number[] }[];
      };
      expect(cases).toHaveLength(200);
      for (const { text, ids } of cases) expect(tokenizer.encode(text)).toEqual(ids);
      expect([tokenizer.bosId, tokenizer.eosId]).toEqual([1, 2]);
    });
  });
}

const tiny = createTokenizer(tinyTokenizerFiles());

test("text becomes ids by merges, bytes if no piece fits, and comes back", () => {
  const { vocab } = tinyTokenizerJson().model;
  const ids = [BOS, vocab["▁ab"], vocab["▁"], vocab["c"], byteId(0xc3), byteId(0xa9)];
  expect(tiny.encode("ab cé")).toEqual(ids);
  expect(tiny.encode("ab cé", { addSpecialTokens: false })).toEqual(ids.slice(1));
  expect(tiny.decode(tiny.encode("ab cé"))).toBe("ab cé");
  expect(tiny.decode([BOS, vocab["▁ab"]!, EOS], { keepSpecialTokens: true })).toBe("<s> ab</s>");
  expect(tiny.encode("", { addSpecialTokens: false })).toEqual([]);
  expect(tiny.decode([])).toBe("");
});

test("a special token spelled in the text is itself, or with specialTokensAsText ordinary text that decodes to what it was", () => {
  expect(tiny.encode("a</s>")).toContain(EOS);
  const ids = tiny.encode("a</s>b<s><unk>", { addSpecialTokens: false, specialTokensAsText: true });
  for (const special of [UNK, BOS, EOS]) expect(ids).not.toContain(special);
  expect(tiny.decode(ids)).toBe("a</s>b<s><unk>");
  expect([tiny.holdsSpecialToken("a</s>"), tiny.holdsSpecialToken("a</ s>")]).toEqual([true, false]);
});

test("if special tokens are text, the unknown token still stands for what no piece fits", () => {
  const json = tinyTokenizerJson();
  const tokenizer = createTokenizer(tinyTokenizerFiles({ ...json, model: { ...json.model, byte_fallback: false } }));
  const ids = tokenizer.encode("a</s>é", { addSpecialTokens: false, specialTokensAsText: true });
  expect(ids.at(-1)).toBe(UNK);
  expect(ids).not.toContain(EOS);
});

test("if special tokens are text, no model knows their pieces", () => {
  const json = tinyTokenizerJson();
  const scored = Object.keys(json.model.vocab).map((piece) => [piece, piece === "</s>" ? 0 : -1]);
  const unigram = { type: "Unigram", unk_id: UNK, vocab: scored };
  const tokenizer = createTokenizer(tinyTokenizerFiles({ ...json, model: unigram }));
  expect(tokenizer.encode("a</s>", { addSpecialTokens: false })).toContain(EOS);
  const ids = tokenizer.encode("a</s>", { addSpecialTokens: false, specialTokensAsText: true });
  expect(ids).not.toContain(EOS);
  expect(tokenizer.decode(ids)).toBe("a</s>");
});

test("cutting at spaces gives the ids of uncut text", () => {
  const json = tinyTokenizerJson() as unknown as TokenizerJson;
  const { model } = new Library({ ...json, added_tokens: [] }, {});
  const cut = createPreTokenizer(cutAtSpaces(json).pre_tokenizer as { type: string });
  const text = fc.string({ unit: fc.constantFrom(" ", "▁", "a", "b", ":", "y", "\n", "é", "😀"), maxLength: 40 });
  fc.assert(
    fc.property(text, (t) => {
      const words = cut({ text: t, isFirst: true }).map((word) => word.text);
      expect(words.flatMap((word) => model([word]))).toEqual(model([t]));
    }),
    { numRuns: 500 },
  );
});

test("text is left uncut if a merge could cross a space", () => {
  const merge = tinyTokenizerJson();
  merge.model.merges = [...merge.model.merges, ["a", "▁"]];
  const piece = tinyTokenizerJson();
  piece.model.vocab["a▁b"] = 999;
  const splitting = { ...tinyTokenizerJson(), pre_tokenizer: { type: "Whitespace" } };
  for (const json of [merge, piece, splitting] as unknown as TokenizerJson[]) expect(cutAtSpaces(json)).toBe(json);
});

test("the hash is SHA-256 over each file's length and text, which runs of earlier versions hold", () => {
  const { tokenizerJson, tokenizerConfigJson, specialTokensMapJson } = tiny.files;
  const hash = createHash("sha256");
  for (const text of [tokenizerJson, tokenizerConfigJson, specialTokensMapJson]) hash.update(`${text.length}\n${text}`);
  expect(tiny.hash).toBe(hash.digest("hex"));
});

test("a text that cannot be encoded is quoted, a hundred characters of it", () => {
  const json = tinyTokenizerJson();
  const model = { ...json.model, byte_fallback: false, unk_token: "<none>" };
  const tokenizer = createTokenizer(tinyTokenizerFiles({ ...json, model }));
  const text = "é".repeat(101);
  expect(() => tokenizer.encode(text)).toThrow(
    `Cannot encode "${"é".repeat(100)}…": the tokenizer of tiny has no token for a part of it`,
  );
  expect(() => tokenizer.encode(text.slice(1))).toThrow(`Cannot encode "${"é".repeat(100)}": the tokenizer of tiny`);
});

test("a special token that is normalised is found if a text only spells it once it is normalised", () => {
  const json = tinyTokenizerJson();
  const lower = { ...json, normalizer: { type: "Lowercase" }, post_processor: null };
  const of = (normalized: boolean) =>
    createTokenizer(
      tinyTokenizerFiles({
        ...lower,
        added_tokens: json.added_tokens.map((token) => ({ ...token, normalized })),
      }),
    );
  expect([of(true).holdsSpecialToken("a</S>"), of(false).holdsSpecialToken("a</S>")]).toEqual([true, false]);
  expect([of(true).holdsSpecialToken("a</s>"), of(true).holdsSpecialToken("a")]).toEqual([true, false]);
});

test("the hash changes with each of the three files", () => {
  const files = tinyTokenizerFiles();
  const hashes = [
    files,
    { ...files, directory: "elsewhere" },
    { ...files, tokenizerJson: `${files.tokenizerJson} ` },
    { ...files, tokenizerConfigJson: `${files.tokenizerConfigJson} ` },
    { ...files, specialTokensMapJson: "{ }" },
  ].map((changed) => createTokenizer(changed).hash);
  expect(hashes[1]).toBe(hashes[0]);
  expect(new Set(hashes).size).toBe(4);
});

const without = (config: unknown) => () => createTokenizer(tinyTokenizerFiles(tinyTokenizerJson(), config));

test("BOS and EOS come from the config or the special tokens map, as texts or as objects; a tokenizer may lack a BOS", () => {
  const files = tinyTokenizerFiles(tinyTokenizerJson(), { bos_token: null, eos_token: { content: "</s>" } });
  expect(createTokenizer(files).bosId).toBeUndefined();
  const mapped = createTokenizer({ ...files, specialTokensMapJson: '{"bos_token": {"content": "<s>"}}' });
  expect([mapped.bosId, mapped.eosId]).toEqual([BOS, EOS]);
  expect(without({})).toThrow("name no end of text: eos_token or eos_token_id is needed");
  expect(without({ eos_token: "<end>" })).toThrow('eos_token is "<end>", which is not in the vocabulary');
});

test("a tokenizer with more ids than the model has is refused, one with far fewer is warned about", () => {
  const size = tiny.vocabularySize; // 3 special tokens, 256 bytes, 32 letters, 6 merged pieces beside </s>
  expect(size).toBe(297);
  expect(checkVocabulary(tiny, size)).toBeUndefined();
  expect(() => checkVocabulary(tiny, size - 1)).toThrow(
    "Cannot use a tokenizer that does not match the vocabulary: the largest token id of tiny is 296, the model's vocabulary has 296",
  );
  expect(checkVocabulary(tiny, 2 * size)).toBeUndefined();
  expect(checkVocabulary(tiny, 2 * size + 1)).toContain("is this the tokenizer of this model?");
  expect(checkVocabulary(tiny, 32_000)).toBe(
    "the largest token id of tiny is 296, the model's vocabulary has 32000: is this the tokenizer of this model?",
  );
});

test("decoding an id that is not in the vocabulary is a fault of the caller", () => {
  expect(() => tiny.decode([5, 4096])).toThrow("Cannot decode token 4096: the vocabulary of tiny has no such id");
});

test("a character whose bytes lack a token is the unknown one, as `tokenizers` 0.23 has it", () => {
  const json = tinyTokenizerJson();
  delete json.model.vocab["<0xA9>"];
  const { vocab } = json.model;
  const encode = (text: string, more = {}) =>
    createTokenizer(tinyTokenizerFiles({ ...json, model: { ...json.model, ...more } })).encode(text);
  const [space, a] = [vocab["▁"], vocab["a"]];
  expect(encode("éèéé")).toEqual([BOS, space, UNK, byteId(0xc3), byteId(0xa8), UNK]);
  expect(encode("éèéé", { fuse_unk: false })).toEqual([BOS, space, UNK, byteId(0xc3), byteId(0xa8), UNK, UNK]);
  expect(encode("aé", { unk_token: null })).toEqual([BOS, vocab["▁a"] ?? space, ...(vocab["▁a"] ? [] : [a])]);
});

test("Unigram and WordPiece models have an unknown token too", () => {
  const json = tinyTokenizerJson();
  const unigram = { type: "Unigram", unk_id: UNK, vocab: Object.keys(json.model.vocab).map((piece, i) => [piece, -i]) };
  const wordPiece = { type: "WordPiece", unk_token: "<unk>", vocab: { "<unk>": UNK, "<s>": BOS, "</s>": EOS } };
  for (const model of [unigram, wordPiece])
    expect(createTokenizer(tinyTokenizerFiles({ ...json, model })).encode("é")).toContain(UNK);
});

test("a special token that is an added one only is special in front and text if a record spells it", () => {
  const json = tinyTokenizerJson();
  const { "<s>": _, "</s>": __, ...vocab } = json.model.vocab;
  const ids = Object.fromEntries(Object.keys(vocab).map((piece, id) => [piece, id]));
  const size = Object.keys(ids).length;
  const merges = json.model.merges.filter((pair) => pair.join("") !== "</s>");
  const special = (content: string, id: number) => ({ content, id, special: true, normalized: false });
  const start = { SpecialToken: { id: "<s>", type_id: 0 } };
  const tokenizer = createTokenizer(
    tinyTokenizerFiles({
      ...json,
      added_tokens: [special("<unk>", 0), special("<s>", size), special("</s>", size + 1)],
      post_processor: {
        type: "TemplateProcessing",
        single: [start, { Sequence: { id: "A", type_id: 0 } }],
        pair: [],
        special_tokens: { "<s>": { id: "<s>", ids: [size], tokens: ["<s>"] } },
      },
      model: { ...json.model, vocab: ids, merges },
    }),
  );
  const encoded = tokenizer.encode("<s>", { specialTokensAsText: true });
  expect(encoded[0]).toBe(size);
  expect(encoded.slice(1)).not.toContain(size);
  expect(tokenizer.decode(encoded.slice(1))).toBe("<s>");
  expect(tokenizer.encode("a</s>")).toContain(size + 1);
});
