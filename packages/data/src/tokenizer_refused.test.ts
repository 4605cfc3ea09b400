/** Tokenizers that cannot be used, and what is said of them. */
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { expect, onTestFinished, test } from "vitest";
import { BOS, tinyTokenizerFiles, tinyTokenizerJson } from "../test/tiny_tokenizer.ts";
import { createTokenizer, loadTokenizer } from "./tokenizer.ts";

const tiny = createTokenizer(tinyTokenizerFiles());

const withModel = (model: object) => ({ ...tinyTokenizerJson(), model: { ...tinyTokenizerJson().model, ...model } });
const withRegex = (Regex: string) => ({
  ...tinyTokenizerJson(),
  pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Split", pattern: { Regex }, behavior: "Isolated" }] },
});
const sequence = { Sequence: { id: "A", type_id: 0 } };
const bos = { SpecialToken: { id: "<s>", type_id: 0 } };
const eos = { SpecialToken: { id: "</s>", type_id: 0 } };
const withSingle = (single: unknown, tokens: object = { "<s>": { id: "<s>", ids: [BOS], tokens: ["<s>"] } }) => ({
  ...tinyTokenizerJson(),
  post_processor: {
    type: "Sequence",
    processors: [{ type: "ByteLevel" }, { type: "TemplateProcessing", single, pair: [], special_tokens: tokens }],
  },
});
const deep = Array.from({ length: 66 }).reduce((inner) => ({ type: "Sequence", normalizers: [inner] }), null);

test.each([
  ["no object", [], "tokenizer.json is not an object"],
  ["no model", { ...tinyTokenizerJson(), model: 3 }, "tokenizer.json has no model"],
  ["no vocabulary", withModel({ vocab: null }), "model.vocab is missing"],
  ["an empty vocabulary", withModel({ vocab: {} }), "model.vocab is empty"],
  ["an id that would make a huge array", withModel({ vocab: { a: 4e9 } }), 'gives "a" the id 4000000000'],
  ["an id that is no number", withModel({ vocab: { a: "0" } }), 'gives "a" the id 0'],
  ["two pieces of one id", withModel({ vocab: { a: 0, b: 0 } }), "gives one id to two pieces"],
  ["no unknown token for word pieces", withModel({ type: "WordPiece", unk_token: null }), "model.unk_token is missing"],
  [
    "an unknown piece that is not there",
    withModel({ type: "Unigram", vocab: [["a", 0]], unk_id: 7, byte_fallback: false }),
    "unk_id is 7",
  ],
  [
    "a list of pieces for BPE",
    withModel({ vocab: [["a", 0]] }),
    "model.vocab is a list, which a model of type BPE has not",
  ],
  ["ids that are a matter of chance", withModel({ dropout: 0.1 }), "model.dropout is 0.1"],
  ["a prefix inside of words", withModel({ continuing_subword_prefix: "##" }), 'continuing_subword_prefix is "##"'],
  ["a merge of what is no piece", withModel({ merges: [["a", "zz"]] }), 'model.vocab lacks "zz"'],
  [
    "a number for an added token that its place does not give",
    { ...tinyTokenizerJson(), added_tokens: [{ id: 400, content: "[PAD]" }] },
    'added_tokens gives "[PAD]" the id 400, its place gives it 297',
  ],
  [
    "a normalizer of no known kind",
    { ...tinyTokenizerJson(), normalizer: { type: "Nmt" } },
    'normalizer is of the type "Nmt"',
  ],
  [
    "tables of SentencePiece",
    { ...tinyTokenizerJson(), normalizer: { type: "Sequence", normalizers: [{ type: "Precompiled" }] } },
    'normalizer.normalizers.0 is of the type "Precompiled", which cannot be done here',
  ],
  [
    "a pre-tokenizer of no known kind",
    { ...tinyTokenizerJson(), pre_tokenizer: { type: "UnicodeScripts" } },
    "UnicodeScripts",
  ],
  [
    "a Metaspace that contradicts itself",
    { ...tinyTokenizerJson(), pre_tokenizer: { type: "Metaspace", replacement: "▁", add_prefix_space: false } },
    "they contradict each other",
  ],
  ["a regular expression without a way back", withRegex("a++b"), "uses ++ (no way back)"],
  ["an atomic group", withRegex("(?>a|b)c"), "uses (?> (no way back)"],
  ["bytes of a Unigram model", withModel({ type: "Unigram", vocab: [["a", 0]] }), "model.byte_fallback of a Unigram"],
  ["no place for the text", withSingle([bos]), "post_processor.single has no place for the text"],
  ["a place of no known kind", withSingle([sequence, { Sequense: {} }]), 'post_processor.single holds {"Sequense":{}}'],
  [
    "a token around the text that is not described",
    withSingle([eos, sequence]),
    "a token with the id of the vocabulary",
  ],
  [
    "another id for a token around the text",
    withSingle([bos, sequence], { "<s>": { id: "<s>", ids: [7], tokens: ["<s>"] } }),
    "a token with the id of the vocabulary is needed",
  ],
  [
    "another id around the text in RoBERTa's way",
    { ...tinyTokenizerJson(), post_processor: { type: "RobertaProcessing", cls: ["<s>", 1], sep: ["</s>", 5] } },
    'post_processor names ["</s>",5]',
  ],
  ["merges of one side", withModel({ merges: ["ab"] }), "model.merges is not a list of pairs"],
  [
    "a bad added token",
    { ...tinyTokenizerJson(), added_tokens: [{ id: 1e12, content: "x" }] },
    "added_tokens holds a bad entry",
  ],
  ["\\G in a regular expression", withRegex("\\G\\d"), "pre_tokenizer.pretokenizers.0.pattern.Regex uses \\G"],
  [
    "a pattern of no known kind",
    { ...tinyTokenizerJson(), pre_tokenizer: { type: "Split", pattern: { Regx: "a" }, behavior: "Isolated" } },
    'pre_tokenizer.pattern is neither {"String": …} nor {"Regex": …}',
  ],
  ["set intersection", withRegex("[a-z&&[^b]]"), "Regex uses && (set intersection)"],
  ["an invalid regular expression", withRegex("(a"), "tokenizer.json asks for what cannot be done here"],
  ["an endless regular expression", withRegex("a".repeat(3000)), "Regex has 3000 characters, at most 2000 are allowed"],
  ["a part nested without end", { ...tinyTokenizerJson(), normalizer: deep }, "normalizer is nested more than 64 deep"],
  ["a part that nobody knows", { ...tinyTokenizerJson(), decoder: { type: "Magic" } }, "Unknown Decoder type: Magic"],
  [
    "a model that nobody knows",
    withModel({ type: "Magic" }),
    'model.type is "Magic", one of BPE, Unigram, WordPiece is needed',
  ],
])("a tokenizer.json with %s is refused", (_, json, message) => {
  const create = () => createTokenizer(tinyTokenizerFiles(json));
  expect(create).toThrow(InputError);
  expect(create).toThrow(message);
});

test("&& outside a set and an escaped \\\\G are ordinary text", () => {
  for (const regex of ["a&&b", "\\\\G", "[ab]&&[cd]"])
    expect(() => createTokenizer(tinyTokenizerFiles(withRegex(regex)))).not.toThrow();
});

test("a folder's files are loaded, and faults in them name the file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-tokenizer-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const put = (name: string, text: string) => writeFile(join(folder, name), text);
  await expect(loadTokenizer(folder)).rejects.toThrow(
    `Cannot load the tokenizer from ${folder}: tokenizer.json: there is no such file`,
  );
  const { tokenizerJson, tokenizerConfigJson } = tinyTokenizerFiles();
  await put("tokenizer.json", tokenizerJson);
  await put("special_tokens_map.json", tokenizerConfigJson);
  expect((await loadTokenizer(folder)).encode("ab")).toEqual(tiny.encode("ab"));
  await put("tokenizer_config.json", '{"eos_token": ');
  await expect(loadTokenizer(folder)).rejects.toThrow("tokenizer_config.json is not JSON");
  await put("tokenizer_config.json", "[]");
  await expect(loadTokenizer(folder)).rejects.toThrow("tokenizer_config.json is not an object");
  await truncate(join(folder, "tokenizer.json"), 100_000_001);
  await expect(loadTokenizer(folder)).rejects.toThrow("tokenizer.json: 100000001 bytes, at most 100000000 are allowed");
});
