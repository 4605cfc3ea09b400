/** Tokenizer files as people have them: keys left out, tokens beyond the vocabulary, expressions that never end. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "@zerogate/core";
import { describe, expect, onTestFinished, test } from "vitest";
import { EOS, tinyTokenizerFiles, tinyTokenizerJson, UNK } from "../test/tiny_tokenizer.ts";
import { encodePrompt, encodeSample } from "./encode_sample.ts";
import { loadTemplate } from "./templates.ts";
import { checkVocabulary, createTokenizer, loadTokenizer } from "./tokenizer.ts";

const json = tinyTokenizerJson();
const tiny = createTokenizer(tinyTokenizerFiles());
const caseFolder = (name: string) => fileURLToPath(new URL(`../../../../shared/cases/${name}/input`, import.meta.url));
const unlessShared = (name: string) => (existsSync(caseFolder(name)) ? "" : " (skipped: ../shared/cases is absent)");

/** The tokenizer.json without some keys of its model or of its own. */
function without({ model = [], parts = [] }: { model?: readonly string[]; parts?: readonly string[] }) {
  const drop = (object: object, names: readonly string[]) =>
    Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
  return { ...drop(json, parts), model: drop(json.model, model) };
}

describe("what a file leaves out", () => {
  test("a model without a type is of the kind that its keys show [T-C1, T-case01]", () => {
    const bpe = { ...without({ model: ["type"] }) };
    const official = { ...bpe, model: { ...bpe.model, continuing_subword_prefix: "", end_of_word_suffix: "" } };
    const text = "ab c</s> é";
    for (const file of [bpe, official])
      expect(createTokenizer(tinyTokenizerFiles(file)).encode(text)).toEqual(tiny.encode(text));
    const unigram = { unk_id: 0, vocab: Object.keys(json.model.vocab).map((piece, i) => [piece, -i]) };
    expect(createTokenizer(tinyTokenizerFiles({ ...json, model: unigram })).encode("é")).toContain(UNK);
    const wordPiece = { vocab: { "<unk>": 0, "<s>": 1, "</s>": 2, a: 3, "##b": 4 }, unk_token: "<unk>" };
    const keys = { continuing_subword_prefix: "##", max_input_chars_per_word: 100 };
    const words = { ...json, normalizer: null, model: { ...wordPiece, ...keys } };
    expect(createTokenizer(tinyTokenizerFiles(words)).encode("ab", { addSpecialTokens: false })).toEqual([3, 4]);
    const unclear = { ...json, model: { vocab: { "<unk>": 0, a: 1 }, unk_token: "<unk>" } };
    expect(() => createTokenizer(tinyTokenizerFiles(unclear))).toThrow("model.type is missing, one of BPE, Unigram");
  });

  test("parts that are not there are none [T-C1]", () => {
    const bare = without({ parts: ["normalizer", "pre_tokenizer", "post_processor", "decoder", "added_tokens"] });
    const ids = createTokenizer(tinyTokenizerFiles(bare)).encode("ab");
    expect(ids).toEqual([
      json.model.vocab["ab"] ?? json.model.vocab["a"],
      ...(json.model.vocab["ab"] ? [] : [json.model.vocab["b"]]),
    ]);
  });

  test("if the tokenizer's files name no end of text, the model's is taken [T-C1, T-case02]", () => {
    const files = tinyTokenizerFiles(json, { model_max_length: 1024 });
    expect(createTokenizer({ ...files, modelEosId: EOS }).eosId).toBe(EOS);
    expect(() => createTokenizer(files)).toThrow("eos_token or eos_token_id is needed");
    expect(() => createTokenizer({ ...files, modelEosId: 999 })).toThrow(
      "the end of text has the id 999, which is not in",
    );
  });

  for (const name of ["01-gpt2-tokenizer-without-model-type", "02-gpt2-eos-not-named"]) {
    test.skipIf(unlessShared(name) !== "")(`${name}${unlessShared(name)} [T-C1, T-case01, T-case02]`, async () => {
      const tokenizer = await loadTokenizer(caseFolder(name), { vocabSize: 277, eosTokenIds: [276] });
      expect([tokenizer.eosId, tokenizer.encode("Name item 1")]).toEqual([276, [263, 262, 264]]);
    });
  }
});

describe("files that are no tokenizer's", () => {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"5".repeat(64)}\nsize 1842767\n`;
  const { tokenizerJson, tokenizerConfigJson } = tinyTokenizerFiles();
  const contents: Readonly<Record<string, readonly [content: string | Uint8Array, problem: string]>> = {
    "a Git LFS pointer": [
      pointer,
      "it is a Git LFS pointer; the file itself (1.8 MB) was not fetched: run `git lfs pull`",
    ],
    "a web page": ["<!doctype html><title>Log in</title>", 'it is a web page ("Log in")'],
    "an empty file": ["", "it is empty: download or copy it again"],
    zeros: [new Uint8Array(64), "it is filled with zeros"],
    "an archive": [Buffer.from("504b0304140000000800", "hex"), "it is a zip"],
    "UTF-16": [Buffer.from(`\ufeff${tokenizerJson}`, "utf16le"), "UTF-16"],
    "a file cut off": ['{"model": {"vocab', "is not JSON (it ends in the middle: download or copy it again)"],
    "no JSON": ["{model}", "is not JSON (Expected property name"],
    "Latin-1": [Buffer.from('{"a": "\xe9"}', "latin1"), "The encoded data was not valid for encoding utf-8"],
  };

  test.each(Object.entries(contents))(
    "%s in the place of each of them is named as that [T-C3]",
    async (_, [content, problem]) => {
      for (const name of ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]) {
        const folder = mkdtempSync(join(tmpdir(), "zerogate-tokenizer-"));
        onTestFinished(() => rmSync(folder, { recursive: true }));
        writeFileSync(join(folder, "tokenizer.json"), tokenizerJson);
        writeFileSync(join(folder, "tokenizer_config.json"), tokenizerConfigJson);
        writeFileSync(join(folder, name), content);
        const load = loadTokenizer(folder);
        await expect(load).rejects.toThrow(InputError);
        await expect(load).rejects.toThrow(`Cannot load the tokenizer from ${folder}: ${name}`);
        await expect(load).rejects.toThrow(problem);
      }
    },
  );
});

describe("an unknown token that is no piece of the model", () => {
  const { "<unk>": _, ...pieces } = json.model.vocab;
  const vocab = Object.fromEntries(Object.keys(pieces).map((piece, id) => [piece, id]));
  const model = { ...json.model, byte_fallback: false, vocab };
  const unknown = { id: Object.keys(vocab).length, content: "<unk>", special: true, normalized: false };
  const special = json.added_tokens.slice(1).map((token) => ({ ...token, id: token.id - 1 }));
  const file = { ...json, post_processor: null, added_tokens: [...special, unknown], model };

  test("loads, and is missed only by a text that needs it [T-C6]", () => {
    const tokenizer = createTokenizer(tinyTokenizerFiles(file));
    expect(tokenizer.encode("ab")).toEqual([vocab["▁ab"]]);
    expect(tokenizer.encode("<unk>")).toContain(unknown.id);
    expect(() => tokenizer.encode("é")).toThrow(InputError);
    expect(() => tokenizer.encode("aé")).toThrow("has no token for a part of it");
  });

  test("may be missing altogether [T-C6]", () => {
    const tokenizer = createTokenizer(tinyTokenizerFiles({ ...file, model: { ...model, unk_token: "<none>" } }));
    expect(tokenizer.encode("ab")).toEqual([vocab["▁ab"]]);
    expect(() => tokenizer.encode("é")).toThrow("has no token for a part of it");
  });
});

describe("added tokens beyond the model's vocabulary", () => {
  const size = tiny.vocabularySize;
  const padded = {
    ...json,
    added_tokens: [...json.added_tokens, { id: size, content: "[PAD]", special: true, normalized: false }],
  };
  const tokenizer = createTokenizer({ ...tinyTokenizerFiles(padded), modelVocabSize: size });

  test("are warned about, and refused if a text holds them [T-C4, T-case17]", async () => {
    expect(checkVocabulary(tokenizer, size)).toContain("texts that hold one of the added tokens beyond it are refused");
    expect(tokenizer.encode("ab")).toEqual(tiny.encode("ab"));
    expect(() => tokenizer.encode("ab [PAD]")).toThrow(
      `Cannot encode "ab [PAD]": its token "[PAD]" has the id ${size}, the largest of the model is ${size - 1}`,
    );
    const turns = { name: "turns", withInput: "{instruction}{input}", withoutInput: "{instruction}[PAD]" };
    const record = { instruction: "first", input: "", output: "ab" };
    const plain = await loadTemplate("plain");
    expect(encodeSample(tokenizer, { template: plain, rule: "all", maxLength: 99 }, record).ids.at(-1)).toBe(EOS);
    const encode = () => encodeSample(tokenizer, { template: turns, rule: "all", maxLength: 99 }, record);
    expect(encode).toThrow('Cannot encode a record: the one that begins "first": its token "[PAD]" has the id');
    expect(() => encodePrompt(tokenizer, { template: turns }, record)).toThrow('its token "[PAD]" has the id');
  });

  test("that end every text are refused at once, and so are pieces of the model itself [T-C4]", () => {
    const files = { ...tinyTokenizerFiles(padded, { eos_token: "[PAD]" }), modelVocabSize: size };
    expect(() => createTokenizer(files)).toThrow(`the end of text has the id ${size}`);
    expect(() => checkVocabulary(tokenizer, size - 1)).toThrow("use the tokenizer of this model");
  });
});
