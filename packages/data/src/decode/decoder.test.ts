/** Decoding token by token: the texts of the Python library `tokenizers`, whatever the decoder, and characters as soon as they are whole. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openTextStream } from "@zerogate/core";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { absentModules, python } from "../../../../tests/support/python.ts";
import { tekkenFile, trainPieces } from "../../test/ranked/make.ts";
import { corpus } from "../../test/sentencepiece/texts.ts";
import { byteId, tinyTokenizerFiles } from "../../test/tiny_tokenizer.ts";
import { type DecoderCase, decoderCases } from "../../test/tokenizers/decoders.ts";
import { texts } from "../../test/tokenizers/texts.ts";
import { createTokenizer, type Tokenizer } from "../tokenizer.ts";
import { createDecoder, textOf } from "./decoder.ts";

const folder = fileURLToPath(new URL("../../test/tokenizers/", import.meta.url));
/** Texts by decoder and list of ids; UPDATE_GOLDEN=1 writes those of the Python library. */
const goldenFile = join(folder, "golden_texts.json");
type Golden = Readonly<Record<string, readonly string[]>>;

const open = (json: object, directory = "d"): Tokenizer =>
  createTokenizer({
    directory,
    tokenizerJson: JSON.stringify(json),
    tokenizerConfigJson: '{"eos_token": "</s>"}',
    specialTokensMapJson: "{}",
  });

/**
 * Rust's ByteFallback writes U+FFFD for every byte of a run that is not UTF-8 as a whole; here the characters in it are shown, as
 * SentencePiece shows them.
 */
function holdsBadRun({ name, json }: DecoderCase, ids: readonly number[]): boolean {
  if (!name.includes("ByteFallback")) return false;
  const { vocab } = json["model"] as { readonly vocab: Readonly<Record<string, number>> };
  const tokens = new Map(Object.entries(vocab).map(([token, id]) => [id, token]));
  const marked = ids.map((id) => /^<0x(..)>$/.exec(tokens.get(id) ?? "")?.[1] ?? " ").join("");
  const runs = marked.split(" ").map((run) => Buffer.from(run, "hex"));
  return runs.some((run) => !Buffer.from(run.toString()).equals(run));
}

function expectTexts(list: readonly DecoderCase[], golden: Golden): void {
  let compared = 0;
  for (const one of list) {
    const tokenizer = open(one.json);
    for (const [i, ids] of one.ids.entries()) {
      if (holdsBadRun(one, ids)) continue;
      compared++;
      expect(tokenizer.decode(ids, { keepSpecialTokens: true }), `${one.name}: ${ids.join()}`).toBe(
        golden[one.name]?.[i],
      );
    }
  }
  expect(compared).toBeGreaterThan(list.length * 12);
}

test("random ids have the stored texts of tokenizers 0.23, with every decoder", () => {
  expectTexts(decoderCases(25), JSON.parse(readFileSync(goldenFile, "utf8")) as Golden);
});

const absent = absentModules("tokenizers");
test.skipIf(absent !== "")(`random ids have the texts of the installed library${absent}`, () => {
  const work = mkdtempSync(join(tmpdir(), "zerogate-decode-"));
  onTestFinished(() => rmSync(work, { recursive: true }));
  const [source, target] = [join(work, "job.json"), join(work, "texts.json")];
  const decoded = (list: readonly DecoderCase[]): Golden => {
    const tokenizers = list.map(({ json }) => JSON.stringify(json));
    writeFileSync(source, JSON.stringify({ tokenizers, ids: list.map(({ ids }) => ids) }));
    execFileSync(python, [join(folder, "decode.py"), source, target]);
    const found = JSON.parse(readFileSync(target, "utf8")) as { readonly texts: string[][] };
    return Object.fromEntries(list.map(({ name }, c) => [name, found.texts[c] ?? []]));
  };
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(goldenFile, JSON.stringify(decoded(decoderCases(25))));
  const many = decoderCases(200);
  expectTexts(many, decoded(many));
});

const vocabulary = (name: string, form: "tekken" | "sentencepiece", bytes: Uint8Array) =>
  createTokenizer({
    directory: name,
    tokenizerJson: "",
    tokenizerConfigJson: "{}",
    specialTokensMapJson: "{}",
    vocabulary: { name, form, bytes },
  });
const sentencePieces = ["bpe_bytes", "bpe_own", "unigram_own", "unigram_rules"].map((name) => {
  const path = fileURLToPath(new URL(`../../test/sentencepiece/${name}.model`, import.meta.url));
  return [name, vocabulary("tokenizer.model", "sentencepiece", readFileSync(path))] as const;
});
const tokenizers: readonly (readonly [string, Tokenizer])[] = [
  ["tiny", createTokenizer(tinyTokenizerFiles())],
  ["tekken", vocabulary("tekken.json", "tekken", Buffer.from(JSON.stringify(tekkenFile(trainPieces(corpus, 300)))))],
  ...sentencePieces,
  ...decoderCases(1).map(({ name, json }) => [name, open(json)] as const),
];

test.each(tokenizers)(
  "%s: what is handed on stays, whatever follows, and is what decoding the whole gives",
  (_, { vocabularySize, decode, openDecoding }) => {
    const known = Array.from({ length: vocabularySize }, (_id, id) => id).filter((id) => isKnown(openDecoding, id));
    const ids = fc.array(fc.constantFrom(...known), { maxLength: 30 });
    fc.assert(
      fc.property(ids, fc.boolean(), (list, keepSpecialTokens) => {
        const whole = decode(list, { keepSpecialTokens });
        const { push, end } = openDecoding({ keepSpecialTokens });
        let shown = "";
        for (const [i, id] of list.entries()) {
          shown += push(id);
          const least = decode(list.slice(0, i + 1), { keepSpecialTokens }).replace(/\uFFFD+$/, "");
          expect(least.startsWith(shown) || shown.startsWith(least)).toBe(true);
          expect(whole.startsWith(shown)).toBe(true);
        }
        expect(shown + end()).toBe(whole);
      }),
      { numRuns: 100 },
    );
  },
);

function isKnown(openDecoding: Tokenizer["openDecoding"], id: number): boolean {
  try {
    openDecoding().push(id);
    return true;
  } catch {
    return false;
  }
}

test.each(tokenizers.slice(0, 6))(
  "%s: texts in all scripts come character by character, none of them broken",
  (_, tokenizer) => {
    const { encode, openDecoding, decode } = tokenizer;
    for (const text of texts) {
      const ids = encode(text, { addSpecialTokens: false, specialTokensAsText: true });
      const whole = decode(ids);
      const { push, end } = openDecoding();
      const parts = ids.map(push);
      expect(parts.join("")).toBe(whole); // nothing waits at the end of a text
      expect(end()).toBe("");
      expect(parts.some((part) => part.includes("\uFFFD"))).toBe(whole.includes("\uFFFD"));
      expect(parts.some((part) => /[\uD800-\uDBFF]$/.test(part))).toBe(false);
    }
  },
);

test("an emoji of four tokens is shown with the last of them, bytes of no character at once or with what breaks them off", () => {
  const { openDecoding } = createTokenizer(tinyTokenizerFiles());
  const { push, end } = openDecoding();
  const shown = [0xf0, 0x9f, 0x98, 0x80, 0xff, 0xe6, 0x97, 0x41, 0xed, 0xa0, 0x80, 0xf4, 0x90, 0xc2].map((byte) =>
    push(byteId(byte)),
  );
  const no = "\uFFFD";
  expect(shown).toEqual(["", "", "", "😀", no, "", "", `${no}${no}A`, "", no + no, no, "", no + no, ""]);
  expect(end()).toBe(no);
});

test("a prompt that ends within a character leaves that character to the answer", () => {
  const tokenizer = createTokenizer(tinyTokenizerFiles());
  const bytes = [...Buffer.from("é😀")].map(byteId);
  const stream = openTextStream(tokenizer, { prefix: bytes.slice(0, 3) });
  expect(bytes.slice(3).map((id) => stream.push(id).text)).toEqual(["", "", "😀"]);
});

test("special tokens are left out, or kept as they are spelled, and unknown ids refused", () => {
  const { openDecoding, decode } = createTokenizer(tinyTokenizerFiles());
  const ids = [byteId(0xc3), 2, byteId(0xa9)];
  expect(textOf(openDecoding(), ids)).toBe("é");
  expect(decode(ids, { keepSpecialTokens: true })).toBe("\uFFFD</s>\uFFFD");
  expect(() => openDecoding().push(4096)).toThrow("Cannot decode token 4096: the vocabulary of tiny has no such id");
});

test("steps that ask where tokens end get whole tokens: their text comes when it is certain", () => {
  const of = (...decoders: object[]) => createDecoder({ type: "Sequence", decoders })();
  const replace = { type: "Replace", pattern: { String: "ab" }, content: "-" };
  const late = of({ type: "Fuse" }, replace);
  expect([late.push("a"), late.push("b"), late.end()]).toEqual(["", "", "-"]);
  const early = of(replace, { type: "Fuse" });
  expect([early.push("a"), early.push("b"), early.end()]).toEqual(["a", "b", ""]);
  const words = of({ type: "BPEDecoder", suffix: "</w>" });
  expect([words.push("a</w>"), words.push("b"), words.push("c</w>"), words.end()]).toEqual(["", "a b", "", "c"]);
});

test.each(tokenizers)("%s: the bytes of tokens are the text that they add behind others", (title, tokenizer) => {
  const { vocabularySize, bytesOf, openDecoding } = tokenizer;
  const all = Array.from({ length: vocabularySize }, (_id, id) => id).filter((id) => isKnown(openDecoding, id));
  const known = all.filter((id) => bytesOf(id) !== undefined);
  expect(known.length > all.length - 12).toBe(!isOfSeveral(title)); // special tokens have none
  if (known.length === 0) return;
  const first = known.find((id) => textOf(openDecoding(), [id]).trim() !== "") ?? 0;
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...known), { maxLength: 20 }), (list) => {
      const bytes = Buffer.concat(list.map((id) => bytesOf(id) ?? Buffer.alloc(0)));
      const text = textOf(openDecoding(), [first, ...list]).slice(textOf(openDecoding(), [first]).length);
      const isText = Buffer.from(bytes.toString()).equals(bytes);
      expect(isText ? text : bytes.toString()).toBe(bytes.toString());
    }),
    { numRuns: 100 },
  );
});

/** Decoders whose texts are made of several tokens together. */
function isOfSeveral(title: string): boolean {
  return /CTC|BPEDecoder|"stop":[12]|"ByteFallback"\},\{"type":"Strip"/.test(title);
}
