/** Files of tiktoken and tekken.json: the ids of tiktoken as stored and live, and what around texts is the model's. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "@zerogate/core";
import { describe, expect, onTestFinished, test } from "vitest";
import { absentModules, python } from "../../../../tests/support/python.ts";
import { piecesLike, tekkenFile, tiktokenFile, trainPieces } from "../../test/ranked/make.ts";
import { corpus, scriptTexts } from "../../test/sentencepiece/texts.ts";
import { createTokenizer, loadTokenizer } from "../tokenizer.ts";
import type { VocabularyFile } from "../tokenizer_files.ts";
import { knownModel } from "./known_models.ts";

const here = fileURLToPath(new URL("../../test/ranked/", import.meta.url));
/** Ids of tiktoken, of all kinds of files; UPDATE_GOLDEN=1 writes them. */
const goldenFile = join(here, "golden.json");
const texts = scriptTexts(2_000);
const stored = texts.slice(0, 90);

const small = trainPieces(corpus, 300);
const contents = {
  "tokenizer.model": tiktokenFile(piecesLike(128_000)),
  "qwen.tiktoken": tiktokenFile(piecesLike(151_643)),
  "tekken.json": JSON.stringify(tekkenFile(small)),
} as const;
type Name = keyof typeof contents;
const names = Object.keys(contents) as Name[];

const open = (name: Name, content: string = contents[name], more: object = {}, config: object = {}) => {
  const form: VocabularyFile["form"] = name === "tekken.json" ? "tekken" : "tiktoken";
  return createTokenizer({
    directory: "d",
    tokenizerJson: "",
    tokenizerConfigJson: JSON.stringify(config),
    specialTokensMapJson: "{}",
    vocabulary: { name, form, bytes: Buffer.from(content) },
    ...more,
  });
};
const asText = { addSpecialTokens: false, specialTokensAsText: true };

test.each(names)("%s: the stored ids of tiktoken, and the texts back [M-tiktoken, M-tekken]", (name) => {
  const golden = JSON.parse(readFileSync(goldenFile, "utf8")) as Readonly<Record<string, number[][]>>;
  const tokenizer = open(name);
  expect(golden[name]).toHaveLength(stored.length);
  for (const [i, text] of stored.entries()) {
    const ids = tokenizer.encode(text, asText);
    expect(ids, `${name}, ${JSON.stringify(text)}`).toEqual(golden[name]?.[i]);
    expect(tokenizer.decode(ids)).toBe(text);
  }
});

const absent = absentModules("tiktoken");
test.skipIf(absent !== "")(
  `2,000 texts in ten scripts have the ids of the installed tiktoken${absent} [M-tiktoken, M-tekken]`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), "zerogate-ranked-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const files = names.map((name) => {
      writeFileSync(join(folder, name), contents[name]);
      const { expression } =
        name === "tekken.json" ? {} : knownModel(name, name === "qwen.tiktoken" ? 151_643 : 128_000, true);
      return { name, path: join(folder, name), ...(expression !== undefined && { expression }) };
    });
    writeFileSync(join(folder, "job.json"), JSON.stringify({ files, texts }));
    execFileSync(python, [join(here, "encode.py"), join(folder, "job.json"), join(folder, "ids.json")]);
    const found = JSON.parse(readFileSync(join(folder, "ids.json"), "utf8")) as Readonly<Record<string, number[][]>>;
    for (const name of names) {
      const tokenizer = open(name);
      for (const [i, text] of texts.entries())
        expect(tokenizer.encode(text, asText), `${name}, ${JSON.stringify(text)}`).toEqual(found[name]?.[i]);
    }
    const golden = Object.fromEntries(names.map((name) => [name, found[name]?.slice(0, stored.length)]));
    if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(goldenFile, JSON.stringify(golden));
    expect(JSON.parse(readFileSync(goldenFile, "utf8"))).toEqual(golden);
  },
);

/** Every neighbours of the lowest rank at the leftmost place, one after the other. */
function mergedOneByOne(pieces: readonly string[], word: string): number[] {
  const ranks = new Map(pieces.map((piece, rank) => [piece, rank]));
  const parts = Buffer.from(word).toString("latin1").split("");
  for (;;) {
    let best = { at: -1, rank: Number.POSITIVE_INFINITY };
    for (let at = 1; at < parts.length; at++) {
      const rank = ranks.get(`${parts[at - 1]}${parts[at]}`);
      if (rank !== undefined && rank < best.rank) best = { at, rank };
    }
    if (best.at === -1) return parts.map((part) => 8 + (ranks.get(part) ?? -1));
    parts.splice(best.at - 1, 2, `${parts[best.at - 1]}${parts[best.at]}`);
  }
}

test("a word that is no piece is merged as if one searched for the lowest rank again and again", () => {
  const used = small.slice(0, -3);
  const { encode } = open("tekken.json");
  const words = ["harbourxharbour", "aaaaaaaaaaa", "трактористами", "여가여가여", "שששששש"];
  for (const word of words) expect(encode(word, asText), word).toEqual(mergedOneByOne(used, word));
});

test("a word that is a piece is that piece, also if no merges lead to it", () => {
  const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
  const { encode } = open("tekken.json", JSON.stringify(tekkenFile([...bytes, "abc"], 0)));
  expect(encode("abc", asText)).toEqual([8 + 256]);
  expect(encode("xabc", asText)).toEqual(Array.from("xabc", (letter) => 8 + letter.charCodeAt(0)));
});

describe("what goes around texts, and special tokens", () => {
  test("Llama 3 has BOS in front, Qwen has none, settings may say otherwise", () => {
    const llama = open("tokenizer.model");
    expect([llama.bosId, llama.eosId, llama.vocabularySize, llama.frontIds()]).toEqual([
      128_000,
      128_001,
      128_256,
      [128_000],
    ]);
    expect(open("tokenizer.model", undefined, {}, { add_bos_token: false }).frontIds()).toEqual([]);
    const qwen = open("qwen.tiktoken");
    expect([qwen.bosId, qwen.eosId, qwen.vocabularySize, qwen.frontIds()]).toEqual([undefined, 151_643, 151_851, []]);
    expect(qwen.encode("<|im_start|>")).toEqual([151_644]);
    const tekken = open("tekken.json");
    expect([tekken.bosId, tekken.eosId, tekken.vocabularySize, tekken.pieces]).toEqual([1, 2, 561, 561]);
    expect(tekken.encode("a[INST]")).toEqual([1, 8 + 97, 3]);
    expect(tekken.decode([5], { keepSpecialTokens: true })).toBe("<SPECIAL_5>");
  });

  test("Llama 3.1 has names for tokens that 3 reserves", () => {
    const [three, later] = [false, true].map((modelHasLlama3Rope) =>
      open("tokenizer.model", undefined, { modelHasLlama3Rope }),
    );
    const idsOf = (text: string) =>
      [three, later].map((tokenizer) => tokenizer?.encode(text, { addSpecialTokens: false }).length);
    expect(idsOf("<|eot_id|>")).toEqual([1, 1]);
    expect(later?.encode("<|eot_id|><|eom_id|><|python_tag|>")).toEqual([128_000, 128_009, 128_008, 128_010]);
    expect(three?.encode("<|eot_id|><|start_header_id|>")).toEqual([128_000, 128_009, 128_006]);
    expect(idsOf("<|python_tag|>")[0]).toBeGreaterThan(1);
    expect(three?.hash).not.toBe(later?.hash);
    const named = { 128_000: { content: "<b>", special: true }, 128_001: { content: "<e>", special: true } };
    const own = open(
      "tokenizer.model",
      undefined,
      {},
      { added_tokens_decoder: named, bos_token: "<b>", eos_token: "<e>" },
    );
    expect(own.encode("<e>")).toEqual([128_000, 128_001]);
  });

  test("special tokens stay text if that is wanted", () => {
    const { encode, decode, holdsSpecialToken } = open("tekken.json");
    expect(holdsSpecialToken("x[INST]")).toBe(true);
    expect(encode("[INST]", asText).length).toBeGreaterThan(1);
    expect(decode(encode("[INST]", asText))).toBe("[INST]");
  });
});

describe("files that cannot be used are refused", () => {
  const problemOf = (name: Name, content: string, config: object = {}): string => {
    try {
      open(name, content, {}, config);
      return "not refused";
    } catch (error) {
      return error instanceof InputError ? error.message : `no InputError: ${String(error)}`;
    }
  };
  const bytes = small.slice(0, 256);

  test.each<[string, string, string]>([
    [
      "of no model that is known",
      tiktokenFile(small),
      "it has 556 pieces of tiktoken and does not say how texts are cut",
    ],
    ["with a line of something else", `${tiktokenFile(bytes)}x\n`, "its line 257 is not a piece in base64 and a rank"],
    ["with a rank twice", `${tiktokenFile(bytes)}YWI= 7\n`, "two pieces have the rank 7"],
    ["with a rank that is missing", `${tiktokenFile(bytes)}YWI= 300\n`, "it has 257 pieces and none of rank 256"],
    ["with a piece twice", `${tiktokenFile(bytes)}YQ== 256\n`, "two of its pieces are the same bytes"],
    ["with half a base64", `${tiktokenFile(bytes)}YQ 256\n`, "the piece of rank 256 is not bytes in base64"],
    ["without a byte", tiktokenFile(bytes.slice(0, 255)), "it has no piece for the byte 255"],
  ])("tiktoken's %s", (_, content, problem) => {
    expect(problemOf("tokenizer.model", content)).toContain(
      `Cannot load the tokenizer from d: tokenizer.model: ${problem}`,
    );
  });

  const sound = () => tekkenFile(small);
  const withConfig = (more: object) => ({ ...sound(), config: { ...sound().config, ...more } });
  test.each<[string, unknown, string]>([
    ["no object", [], "is not an object"],
    ["no config", { vocab: [] }, "it has no config and no vocab"],
    ["no expression", withConfig({ pattern: undefined }), "config.pattern is missing"],
    ["an expression that is none", withConfig({ pattern: "(" }), "Invalid regular expression"],
    [
      "more special tokens than ids",
      withConfig({ default_num_special_tokens: 9_999 }),
      "config has 561 ids, of which 9999",
    ],
    ["fewer pieces than ids", withConfig({ default_vocab_size: 1_000 }), "vocab has 556 pieces"],
    ["an entry of something else", { ...sound(), vocab: Array(600).fill(3) }, "an entry without rank and bytes"],
    [
      "no list of a version that has one",
      { ...sound(), special_tokens: undefined },
      "which a file of version v11 lists",
    ],
    [
      "a special token twice",
      {
        ...sound(),
        special_tokens: [
          { rank: 0, token_str: "a" },
          { rank: 1, token_str: "a" },
        ],
      },
      "has a token twice",
    ],
    [
      "a special token beyond its place",
      { ...sound(), special_tokens: [{ rank: 8, token_str: "a" }] },
      "an own rank below 8",
    ],
  ])("a tekken.json with %s", (_, file, problem) => {
    expect(problemOf("tekken.json", JSON.stringify(file))).toContain(problem);
  });

  test("an older tekken.json has the special tokens that it does not list", () => {
    const older = { ...withConfig({ version: "v3", default_num_special_tokens: 20, default_vocab_size: 570 }) };
    delete older.special_tokens;
    const tokenizer = open("tekken.json", JSON.stringify(older));
    expect(tokenizer.encode("[SUFFIX]")).toEqual([1, 16]);
  });
});

test("tekken.json wins over tokenizer.model, which may be of either form [M-tiktoken, M-tekken]", async () => {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-ranked-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "tokenizer.model"), contents["tokenizer.model"]);
  expect((await loadTokenizer(folder)).eosId).toBe(128_001);
  expect((await loadTokenizer(folder, { ropeScaling: { type: "llama3" } })).encode("<|eom_id|>")).toEqual([
    128_000, 128_008,
  ]);
  writeFileSync(join(folder, "tekken.json"), contents["tekken.json"]);
  expect((await loadTokenizer(folder)).eosId).toBe(2);
});
