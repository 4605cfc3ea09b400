/** A `tokenizer.model` in a folder: which file is read, what goes around texts, and tokens that settings add. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { expect, onTestFinished, test } from "vitest";
import { minimalPieces, writeModel } from "../../test/sentencepiece/write_model.ts";
import { tinyTokenizerFiles } from "../../test/tiny_tokenizer.ts";
import { createTokenizer, loadTokenizer } from "../tokenizer.ts";
import type { TokenizerFiles } from "../tokenizer_files.ts";

const [UNK, BOS, EOS, SPACE, A, B, SPACE_A, AB] = [0, 1, 2, 3, 4, 5, 6, 7]; // as in minimalPieces
const model = writeModel({ pieces: minimalPieces });

function folderOf(files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-sentencepiece-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}
const json = (value: unknown) => JSON.stringify(value);
const load = (config: object = {}, more: Readonly<Record<string, string | Uint8Array>> = {}) =>
  loadTokenizer(folderOf({ "tokenizer.model": model, "tokenizer_config.json": json(config), ...more }));
const special = (content: string, more = {}) => ({ content, special: true, ...more });

test("a folder with nothing else gets BOS in front and ends with the model's own end [M-sentencepiece]", async () => {
  const tokenizer = await loadTokenizer(folderOf({ "tokenizer.model": model }));
  expect([tokenizer.bosId, tokenizer.eosId, tokenizer.vocabularySize, tokenizer.pieces]).toEqual([BOS, EOS, 8, 8]);
  expect(tokenizer.encode("ab a")).toEqual([BOS, SPACE, AB, SPACE_A]);
  expect(tokenizer.encode("a", { addSpecialTokens: false })).toEqual([SPACE_A]);
  expect(tokenizer.encode("", { addSpecialTokens: false })).toEqual([]);
  expect(tokenizer.decode([BOS, SPACE_A, B, EOS])).toBe("ab");
  expect(tokenizer.decode([SPACE, SPACE_A])).toBe(" a");
});

test("neighbours that nothing knows are one unknown token", async () => {
  const { encode } = await load({ add_bos_token: false });
  expect(encode("xyaxzb")).toEqual([SPACE, UNK, A, UNK, B]);
});

test("settings say what goes around a text", async () => {
  expect((await load({ add_bos_token: false })).encode("a")).toEqual([SPACE_A]);
  expect((await load({ add_bos_token: false, add_eos_token: true })).encode("a")).toEqual([SPACE_A, EOS]);
  const other = await load({ bos_token: "</s>", eos_token: { content: "<s>" } });
  expect([other.bosId, other.eosId, other.frontIds()]).toEqual([EOS, BOS, [EOS]]);
});

test("tokenizer.json wins over tokenizer.model, and its hash stays what it was", async () => {
  const { tokenizerJson, tokenizerConfigJson } = tinyTokenizerFiles();
  const both = folderOf({
    "tokenizer.json": tokenizerJson,
    "tokenizer_config.json": tokenizerConfigJson,
    "tokenizer.model": model,
  });
  expect((await loadTokenizer(both)).hash).toBe(createTokenizer(tinyTokenizerFiles()).hash);
});

test("the hash tells models and settings apart", async () => {
  const other = writeModel({ pieces: [...minimalPieces, ["z", -9, 1]] });
  const scored = minimalPieces.map(([text, score, type]) => [text, score - 1, type] as const);
  const hashes = [
    await load(),
    await load({}, { "tokenizer.model": writeModel({ pieces: scored }) }),
    await load({}, { "tokenizer.model": other }),
    await load({}, { "added_tokens.json": json({ "<pad>": 8 }) }),
    await load({ add_bos_token: false }),
  ].map(({ hash }) => hash);
  expect(new Set(hashes).size).toBe(5);
});

test("tokens that settings add are found in texts, those that are special stay text if that is wanted", async () => {
  const tokens = {
    0: special("<unk>"),
    1: special("<s>"),
    8: special("<|end|>", { rstrip: true }),
    9: { content: "<x>" },
  };
  const tokenizer = await load({ add_bos_token: false, added_tokens_decoder: tokens });
  expect(tokenizer.vocabularySize).toBe(10);
  expect(tokenizer.encode("a<|end|>  a<x>b")).toEqual([SPACE_A, 8, SPACE_A, 9, SPACE, B]);
  expect(tokenizer.encode("a</s>")).toEqual([SPACE_A, EOS]);
  const asText = tokenizer.encode("a</s><x>", { specialTokensAsText: true });
  expect(asText).toEqual([SPACE_A, UNK, 9]);
  expect(tokenizer.holdsSpecialToken("a</s>")).toBe(true);
  expect(tokenizer.decode([SPACE_A, 8, 9, SPACE_A], { keepSpecialTokens: true })).toBe("a<|end|><x> a");
  const olderFolder = await load({ add_bos_token: false }, { "added_tokens.json": json({ "<x>": 8 }) });
  expect(olderFolder.encode("a<x>")).toEqual([SPACE_A, 8]);
});

test("the dummy prefix goes in front of all parts of a text, or of its begin alone if legacy is false", async () => {
  const encode = async (config: object) => (await load({ add_bos_token: false, ...config })).encode("a</s>a");
  expect(await encode({})).toEqual([SPACE_A, EOS, SPACE_A]);
  expect(await encode({ legacy: true })).toEqual([SPACE_A, EOS, SPACE_A]);
  expect(await encode({ legacy: false })).toEqual([SPACE_A, EOS, A]);
});

test("a special token that a user defined as a piece stays text too", async () => {
  const pieces = [...minimalPieces, ["<turn>", 0, 4] as const];
  const tokenizer = await load(
    { add_bos_token: false, added_tokens_decoder: { 8: special("<turn>") } },
    { "tokenizer.model": writeModel({ pieces, kind: 1, byteFallback: false }) },
  );
  expect(tokenizer.encode("a<turn>")).toContain(8);
  expect(tokenizer.encode("a<turn>", { specialTokensAsText: true })).not.toContain(8);
});

test("what does not belong together is refused by name", async () => {
  const problemOf = async (config: object, more = {}) => {
    const error: unknown = await load(config, more).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InputError);
    return (error as InputError).problems.join();
  };
  expect(await problemOf({ added_tokens_decoder: { 4: special("<x>") } })).toBe(
    '"<x>" is added as token 4, the model has "a" there: use the files of one tokenizer',
  );
  expect(await problemOf({ added_tokens_decoder: { 9: special("a") } })).toContain("the model has it as 4");
  expect(await problemOf({ added_tokens_decoder: { x: special("<x>") } })).toContain('adds a token "x"');
  expect(await problemOf({ added_tokens_decoder: { 9: 3 } })).toContain("an id below 1048576 and its text are needed");
  expect(await problemOf({}, { "added_tokens.json": json({ "<x>": -1 }) })).toContain("added_tokens.json adds");
  expect(await problemOf({}, { "tokenizer.model": "{}" })).toContain("tokenizer.model: it is text");
  expect(await problemOf({}, { "tokenizer.model": model.subarray(0, 40) })).toMatch(/^tokenizer.model: /);
  const files: TokenizerFiles = {
    directory: "d",
    tokenizerJson: "",
    tokenizerConfigJson: "{}",
    specialTokensMapJson: "{}",
    vocabulary: {
      name: "tokenizer.model",
      form: "sentencepiece",
      bytes: writeModel({ pieces: minimalPieces, kind: 4 }),
    },
  };
  expect(() => createTokenizer(files)).toThrow(
    "Cannot load the tokenizer from d: tokenizer.model: it is a model of the kind char, bpe or unigram is needed",
  );
  await expect(loadTokenizer(folderOf({}))).rejects.toThrow(
    "tokenizer.json: there is no such file, nor tekken.json, tokenizer.model, spiece.model, qwen.tiktoken",
  );
});
