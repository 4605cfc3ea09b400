/** Ids and texts of Python's `sentencepiece`: of small models as stored, and live of Llama-2's and of models that it trains here. */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { absentModules, python } from "../../../../tests/support/python.ts";
import { corpus, scriptTexts } from "../../test/sentencepiece/texts.ts";
import { createTokenizer } from "../tokenizer.ts";

const here = fileURLToPath(new URL("../../test/sentencepiece/", import.meta.url));
/** Ids and texts of the small models; UPDATE_GOLDEN=1 trains them again and writes what the Python library says. */
const goldenFile = join(here, "golden.json");
const llama2 = fileURLToPath(new URL("../../../../../shared/data/llama2-tokenizer/tokenizer.model", import.meta.url));

interface TrainedModel {
  readonly options: object;
  /** Every n-th of its pieces is marked as not to be used. */
  readonly unused?: number;
  readonly rules?: string;
}
const bpe = { model_type: "bpe", vocab_size: 700, byte_fallback: true, normalization_rule_name: "identity" };
const unigram = { model_type: "unigram", vocab_size: 600, character_coverage: 0.98, hard_vocab_limit: false };
const plain = { remove_extra_whitespaces: false, allow_whitespace_only_pieces: true };
const own = { user_defined_symbols: ["<user>", "▁▁▁", "12", "の", "a b"], control_symbols: ["<ctl>"] };
const suffix = { treat_whitespace_as_suffix: true };
/** "É" and "ÉÉ" (a rule inside of another), a space that becomes two, a character that becomes nothing. */
const rules = "C9\t45\nC9 C9\t65 65 65\nA0\t20 20\nAD\t\nFB01\t66 69\n1F600\t3A 29\n";

const trained: Readonly<Record<string, TrainedModel>> = {
  "BPE with byte fallback": { options: { ...bpe, ...plain } },
  unigram: { options: { ...unigram, normalization_rule_name: "identity" } },
  "unigram with nmt_nfkc": { options: { ...unigram, normalization_rule_name: "nmt_nfkc" } },
  "BPE with pieces of a user": { options: { ...bpe, ...plain, ...own } },
  "BPE without bytes, trimmed": { options: { ...bpe, byte_fallback: false, character_coverage: 0.98 } },
  "BPE with spaces inside pieces": { options: { ...bpe, ...plain, split_by_whitespace: false } },
  "BPE with spaces at the end": { options: { ...bpe, ...suffix } },
  "BPE with pieces that are not used": { options: { ...bpe, ...plain }, unused: 3 },
  "unigram with pieces of a user": { options: { ...unigram, ...plain, ...own, byte_fallback: true } },
  "unigram with nfkc_cf and no prefix": {
    options: { ...unigram, normalization_rule_name: "nfkc_cf", add_dummy_prefix: false },
  },
  "unigram with pieces that are not used": { options: unigram, unused: 4 },
};
/** A few kilobytes each. */
const small: Readonly<Record<string, TrainedModel>> = {
  bpe_bytes: { options: { ...bpe, ...plain, vocab_size: 600, character_coverage: 0.98 } },
  bpe_own: { options: { ...bpe, ...own, byte_fallback: false, vocab_size: 440, character_coverage: 0.98 }, unused: 5 },
  unigram_rules: { options: { ...unigram, vocab_size: 400 }, rules },
  unigram_own: { options: { ...unigram, ...plain, ...own, ...suffix, vocab_size: 400 }, rules },
};

interface Found {
  readonly version: string;
  readonly models: Readonly<Record<string, { readonly ids: number[][]; readonly decoded: string[] }>>;
}

const smallFile = (name: string) => join(here, `${name}.model`);
const smallTexts = scriptTexts(120);

function expectIds(name: string, path: string, texts: readonly string[], found: Found): void {
  const tokenizer = createTokenizer({
    directory: name,
    tokenizerJson: "",
    tokenizerConfigJson: '{"add_bos_token": false}',
    specialTokensMapJson: "{}",
    vocabulary: { name: "tokenizer.model", form: "sentencepiece", bytes: readFileSync(path) },
  });
  const { ids = [], decoded = [] } = found.models[name] ?? {};
  expect(ids).toHaveLength(texts.length);
  for (const [i, text] of texts.entries()) {
    const ours = tokenizer.encode(text, { specialTokensAsText: true });
    expect(ours, `${name}, ${JSON.stringify(text)}`).toEqual(ids[i]);
    // An unknown piece has a text of its own here, as in tokenizer.json.
    if (ours.includes(0)) continue;
    expect(tokenizer.decode(ours, { keepSpecialTokens: true }), `${name}, ${JSON.stringify(ours)}`).toBe(decoded[i]);
  }
}

test.each(Object.keys(small))("%s: the stored ids and texts of sentencepiece [M-sentencepiece]", (name) => {
  expect(statSync(smallFile(name)).size).toBeLessThan(30_000);
  expectIds(name, smallFile(name), smallTexts, JSON.parse(readFileSync(goldenFile, "utf8")) as Found);
});

describe("live", () => {
  const absent = absentModules("sentencepiece");
  const isLlamaAbsent = !existsSync(llama2);
  const texts = scriptTexts(2_000);

  function ask(models: readonly object[], of: readonly string[]): { found: Found; folder: string } {
    const folder = mkdtempSync(join(tmpdir(), "zerogate-sentencepiece-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, "job.json"), JSON.stringify({ models, texts: of, corpus }));
    execFileSync(python, [join(here, "encode.py"), join(folder, "job.json"), folder, join(folder, "ids.json")]);
    return { found: JSON.parse(readFileSync(join(folder, "ids.json"), "utf8")) as Found, folder };
  }

  test.skipIf(absent !== "")(
    `2,000 texts in ten scripts have the ids of the installed library${absent} [M-sentencepiece]`,
    () => {
      const { found, folder } = ask(
        Object.entries(trained).map(([name, model]) => ({ name, ...model })),
        texts,
      );
      for (const name of Object.keys(trained)) expectIds(name, join(folder, `${name}.model`), texts, found);
    },
  );

  const unlessLlama = isLlamaAbsent ? " (skipped: ../shared/data is absent)" : absent;
  test.skipIf(unlessLlama !== "")(
    `2,000 texts in ten scripts have Llama-2's ids${absent}${isLlamaAbsent ? unlessLlama : ""} [M-sentencepiece]`,
    () => expectIds("Llama-2", llama2, texts, ask([{ name: "Llama-2", file: llama2 }], texts).found),
  );

  test.skipIf(absent !== "")(`the stored ids are those of the installed library${absent} [M-sentencepiece]`, () => {
    const isUpdate = process.env["UPDATE_GOLDEN"] === "1";
    const models = Object.entries(small).map(([name, model]) =>
      isUpdate ? { name, ...model } : { name, file: smallFile(name) },
    );
    const { found, folder } = ask(models, smallTexts);
    if (isUpdate) {
      for (const name of Object.keys(small)) copyFileSync(join(folder, `${name}.model`), smallFile(name));
      writeFileSync(goldenFile, JSON.stringify(found));
    }
    expect((JSON.parse(readFileSync(goldenFile, "utf8")) as Found).models).toEqual(found.models);
  });
});
