import { expect, test } from "vitest";
import { tinyTokenizerJson } from "../test/tiny_tokenizer.ts";
import { cutAtSpaces, keepWords } from "./space_cut.ts";
import type { TokenizerJson } from "./tokenizer_json.ts";

interface Cache {
  get(word: string): readonly string[] | undefined;
  put(word: string, pieces: readonly string[]): void;
  clear(): void;
}

/** The model of a tokenizer whose words are kept by ours. */
function cacheOf(): Cache {
  const model: { cache: Cache } = { cache: { get: () => ["the library's own"], put() {}, clear() {} } };
  keepWords(model);
  return model.cache;
}

test("texts of LLaMA's tokenizers are cut at spaces; if a key of the model could see it, they stay whole", () => {
  const tiny = tinyTokenizerJson();
  const isCut = (model: object, parts: object = {}) => {
    const json = { ...tiny, ...parts, model: { ...tiny.model, ...model } } as unknown as TokenizerJson;
    const cut = cutAtSpaces(json);
    if (cut === json) return false;
    expect(cut).toEqual({ ...json, pre_tokenizer: expect.objectContaining({ type: "Split", invert: true }) });
    return true;
  };
  const { "▁": _, ...withoutSpace } = tiny.model.vocab;
  for (const fine of [
    {},
    { end_of_word_suffix: "", continuing_subword_prefix: null, continuing_subword_suffix: null, ignore_merges: false },
    { fuse_unk: false },
    { fuse_unk: false, vocab: withoutSpace },
  ])
    expect(isCut(fine), JSON.stringify(fine).slice(0, 80)).toBe(true);
  for (const other of [
    { type: "Unigram" },
    { vocab: [["a", 0]] },
    { merges: undefined },
    { end_of_word_suffix: "</w>" },
    { continuing_subword_prefix: "##" },
    { continuing_subword_suffix: "@@" },
    { ignore_merges: true },
    { fuse_unk: true, vocab: withoutSpace },
    { vocab: { ...tiny.model.vocab, "a▁": 999 } },
    { merges: [["a", "▁"]] },
    { merges: ["a ▁"] },
  ])
    expect(isCut(other), JSON.stringify(other).slice(0, 80)).toBe(false);
  expect(isCut({ vocab: { ...tiny.model.vocab, "▁▁": 999, "▁▁a": 1000 } })).toBe(true);
  expect(isCut({}, { pre_tokenizer: { type: "Digits" } })).toBe(false);
});

test("words are kept as they were cut, until all are forgotten", () => {
  const cache = cacheOf();
  expect(cache.get("hello")).toBeUndefined();
  cache.put("hello", ["hel", "lo"]);
  cache.put("you", ["you"]);
  expect([cache.get("hello"), cache.get("you")]).toEqual([["hel", "lo"], ["you"]]);
  cache.clear();
  expect([cache.get("hello"), cache.get("you")]).toEqual([undefined, undefined]);
});

test("no more than fifty thousand words are kept, the first of them", () => {
  const cache = cacheOf();
  for (let i = 0; i < 50_010; i++) cache.put(`w${i}`, [String(i)]);
  expect(cache.get("w49999")).toEqual(["49999"]);
  expect(cache.get("w50000")).toBeUndefined();
  cache.clear();
  cache.put("again", ["again"]);
  expect(cache.get("again")).toEqual(["again"]);
});

test("a model without a cache is left alone", () => {
  const model = {};
  keepWords(model);
  expect(model).toEqual({});
});
