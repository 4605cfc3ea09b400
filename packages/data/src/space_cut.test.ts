import { expect, test } from "vitest";
import { keepWords } from "./space_cut.ts";

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
